package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bwmarrin/discordgo"

	"becas.example/bot/moderation"
	becasft "becas.example/ft"
	"becas.example/ft/becasv1"
)

const dismiss = "❌"

var actions = map[discordgo.AuditLogAction]string{
	discordgo.AuditLogActionMemberBanAdd:    "ban",
	discordgo.AuditLogActionMemberBanRemove: "unban",
	discordgo.AuditLogActionMemberKick:      "kick",
}

// bot turns what the gateway says into decisions, and publishes them.
type bot struct {
	becas      *becasft.Client
	moderation *moderation.Moderation
	shown      shower
}

// shower shows receipts in the order of publishing.
type shower struct {
	pending chan *becasft.Pending
	done    sync.WaitGroup
}

func newBot(becas *becasft.Client) *bot {
	made := &bot{becas: becas, moderation: moderation.New(), shown: shower{pending: make(chan *becasft.Pending, 1024)}}
	made.shown.done.Go(func() {
		for pending := range made.shown.pending {
			if receipt, err := pending.Receipt(context.Background()); err == nil {
				show(receipt)
			}
		}
	})
	return made
}

// Wait ends when every receipt is shown.
func (s *shower) Wait() {
	close(s.pending)
	s.done.Wait()
}

// onMessage looks at what members write.
func (b *bot) onMessage(session *discordgo.Session, message *discordgo.MessageCreate) {
	if message.Author.Bot || message.GuildID == "" {
		return
	}
	channel, err := session.State.Channel(message.ChannelID)
	if err != nil {
		channel = &discordgo.Channel{}
	}
	// Here you act on what was decided: delete, warn, answer.
	b.publish(b.moderation.Message(moderation.Said{
		MessageID: message.ID,
		UserID:    message.Author.ID,
		GuildID:   message.GuildID,
		Channel:   channel.Name,
		Text:      message.Content,
		Time:      message.Timestamp,
		ToBot: slices.ContainsFunc(message.Mentions, func(user *discordgo.User) bool {
			return user.ID == session.State.User.ID
		}),
	}))
}

// onMemberJoin looks for raids.
func (b *bot) onMemberJoin(_ *discordgo.Session, member *discordgo.GuildMemberAdd) {
	since, err := discordgo.SnowflakeTimestamp(member.User.ID)
	if err != nil {
		return
	}
	b.publish(b.moderation.Joined(member.User.ID, member.GuildID, member.JoinedAt, since))
}

// onReaction: a moderator's ❌ on a message says that flagging it was wrong.
func (b *bot) onReaction(session *discordgo.Session, reaction *discordgo.MessageReactionAdd) {
	if reaction.Emoji.Name == dismiss && reaction.Member != nil && moderates(session, reaction.GuildID, reaction.Member) {
		b.publish(b.moderation.Dismissed(reaction.MessageID, reaction.UserID))
	}
}

func moderates(session *discordgo.Session, guildID string, member *discordgo.Member) bool {
	guild, err := session.State.Guild(guildID)
	if err != nil {
		return false
	}
	const enough = discordgo.PermissionModerateMembers | discordgo.PermissionAdministrator
	return slices.ContainsFunc(guild.Roles, func(role *discordgo.Role) bool {
		return slices.Contains(member.Roles, role.ID) && role.Permissions&enough != 0
	})
}

// onAuditLogEntry is what moderators do, by hand or with other bots.
func (b *bot) onAuditLogEntry(_ *discordgo.Session, entry *discordgo.GuildAuditLogEntryCreate) {
	if entry.ActionType == nil || entry.TargetID == "" {
		return
	}
	done := moderation.Action{
		EntryID:    entry.ID,
		Type:       actions[*entry.ActionType],
		TargetID:   entry.TargetID,
		ExecutorID: entry.UserID,
		GuildID:    entry.GuildID,
		Reason:     entry.Reason,
	}
	if *entry.ActionType == discordgo.AuditLogActionMemberUpdate {
		done.Type, done.Duration = timeout(entry.AuditLogEntry)
	}
	if done.Type != "" {
		b.publish(b.moderation.Acted(done))
	}
}

func timeout(entry *discordgo.AuditLogEntry) (string, *time.Duration) {
	for _, change := range entry.Changes {
		text, isText := change.NewValue.(string)
		if change.Key == nil || *change.Key != discordgo.AuditLogChangeKeyCommunicationDisabledUntil || !isText {
			continue
		}
		until, err := time.Parse(time.RFC3339, text)
		since, wrong := discordgo.SnowflakeTimestamp(entry.ID)
		if err == nil && wrong == nil {
			lasts := until.Sub(since)
			return "timeout", &lasts
		}
	}
	return "", nil
}

// onInteraction is for commands. Here you also run and answer them.
func (b *bot) onInteraction(_ *discordgo.Session, interaction *discordgo.InteractionCreate) {
	if interaction.Type != discordgo.InteractionApplicationCommand || interaction.Member == nil {
		return
	}
	command, user := interaction.ApplicationCommandData(), interaction.Member.User.ID
	switch command.Name {
	case "remind":
		text := command.GetOption("text").StringValue()
		b.publish(b.moderation.Remind(interaction.ID, user, interaction.GuildID, text))
	case "plan":
		text := command.GetOption("text").StringValue()
		b.publish(b.moderation.Plan(interaction.ID, user, interaction.GuildID, text))
	case "Teach: positive":
		text := command.Resolved.Messages[command.TargetID].Content
		b.publish(b.moderation.Taught(interaction.ID, user, interaction.GuildID, text))
	}
}

func (b *bot) publish(events []*becasv1.Event) {
	for _, event := range events {
		pending, err := b.becas.Publish(context.Background(), event)
		if err != nil {
			// Your bot goes on without: what it decides matters more than what is learnt from it.
			return
		}
		b.shown.pending <- pending
	}
}
