// Command bot is a Discord bot that publishes what it decides; with -replay it plays recorded gateway events, without a
// network.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/bwmarrin/discordgo"

	becasft "becas.example/ft"
	"becas.example/ft/becasv1"
)

const closeTime = 30 * time.Second

func main() {
	replay := flag.String("replay", "", "a file of gateway events, one a line")
	flag.Parse()
	if err := run(*replay); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(replay string) (err error) {
	token := os.Getenv("DISCORD_TOKEN")
	if replay == "" && token == "" {
		return errors.New("set DISCORD_TOKEN, or name a file with -replay")
	}
	access, err := becasft.AccessFromEnvironment()
	if err != nil {
		return err
	}
	server := cmp.Or(os.Getenv("BECAS_FT_SERVER"), "127.0.0.1:50051")
	becas, err := becasft.Open(server, access, becasft.Settings{})
	if err != nil {
		return err
	}
	session, err := discordgo.New("Bot " + token)
	if err != nil {
		return err
	}
	bot := newBot(becas)
	defer func() {
		// Waits for the last receipts.
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		err = errors.Join(err, becas.Close(ctx))
		bot.shown.Wait()
	}()
	if replay != "" {
		return bot.replay(session, replay)
	}
	return bot.online(session)
}

// online runs until it is told to stop.
func (b *bot) online(session *discordgo.Session) error {
	session.Identify.Intents = discordgo.IntentGuilds | discordgo.IntentGuildMembers | discordgo.IntentGuildModeration |
		discordgo.IntentGuildMessages | discordgo.IntentGuildMessageReactions | discordgo.IntentMessageContent
	// One event after the other: decisions about one message follow from those before.
	session.SyncEvents = true
	session.AddHandler(b.onMessage)
	session.AddHandler(b.onMemberJoin)
	session.AddHandler(b.onReaction)
	session.AddHandler(b.onAuditLogEntry)
	session.AddHandler(b.onInteraction)
	if err := session.Open(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	return session.Close()
}

// replay makes the library's own objects of recorded gateway events, and hands them to the same handlers.
func (b *bot) replay(session *discordgo.Session, path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(content)), "\n") {
		var packet discordgo.Event
		if err := json.Unmarshal([]byte(line), &packet); err != nil {
			return err
		}
		if err := b.play(session, packet); err != nil {
			return fmt.Errorf("%s: %w", packet.Type, err)
		}
	}
	return nil
}

func (b *bot) play(session *discordgo.Session, packet discordgo.Event) error {
	switch packet.Type {
	case "READY":
		return play(session, packet, func(*discordgo.Session, *discordgo.Ready) {})
	case "GUILD_CREATE":
		return play(session, packet, func(*discordgo.Session, *discordgo.GuildCreate) {})
	case "MESSAGE_CREATE":
		return play(session, packet, b.onMessage)
	case "GUILD_MEMBER_ADD":
		return play(session, packet, b.onMemberJoin)
	case "MESSAGE_REACTION_ADD":
		return play(session, packet, b.onReaction)
	case "GUILD_AUDIT_LOG_ENTRY_CREATE":
		return play(session, packet, b.onAuditLogEntry)
	case "INTERACTION_CREATE":
		return play(session, packet, b.onInteraction)
	}
	return nil
}

func play[Data any](session *discordgo.Session, packet discordgo.Event, handle func(*discordgo.Session, *Data)) error {
	data := new(Data)
	if err := json.Unmarshal(packet.RawData, data); err != nil {
		return err
	}
	if err := session.State.OnInterface(session, data); err != nil && !errors.Is(err, discordgo.ErrStateNotFound) {
		return err
	}
	handle(session, data)
	return nil
}

// show prints a receipt as a line of JSON. INVALID means that this bot has a bug: the reason names the field.
func show(receipt *becasv1.Receipt) {
	line, err := json.Marshal(map[string]any{
		"eventId":  receipt.GetEventId(),
		"status":   strings.TrimPrefix(receipt.GetStatus().String(), "STATUS_"),
		"category": short(receipt.GetCategory().String(), "CATEGORY_"),
		"tier":     short(receipt.GetTier().String(), "TIER_"),
		"score":    receipt.GetScore(),
		"reasons":  append([]string{}, receipt.GetReasons()...),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

// short is CATEGORY_SCAM_DETECTION as scam_detection; empty where it is not set.
func short(value, prefix string) string {
	name := strings.ToLower(strings.TrimPrefix(value, prefix))
	if name == "unspecified" {
		return ""
	}
	return name
}
