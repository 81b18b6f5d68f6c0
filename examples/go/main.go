// Command bot publishes what it decided about seven invented messages, and prints a receipt a line.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"becas.example/bot/becasv1"
	"becas.example/bot/publisher"
)

const (
	member    = "700000000000000001"
	guild     = "800000000000000001"
	closeTime = 30 * time.Second
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// token is the bot's; servers beyond this machine want one.
func token() (string, error) {
	path := os.Getenv("BECAS_FT_TOKEN_FILE")
	if path == "" {
		return os.Getenv("BECAS_FT_TOKEN"), nil
	}
	content, err := os.ReadFile(path)
	return strings.TrimSpace(string(content)), err
}

func run() (err error) {
	server := os.Getenv("BECAS_FT_SERVER")
	if server == "" {
		server = "127.0.0.1:50051"
	}
	// Between two messages; a chat takes its time.
	var pace time.Duration
	if seconds := os.Getenv("BOT_PACE_SECONDS"); seconds != "" {
		if pace, err = time.ParseDuration(seconds + "s"); err != nil {
			return err
		}
	}
	token, err := token()
	if err != nil {
		return err
	}
	bot, err := publisher.Open(server, publisher.Access{CAFile: os.Getenv("BECAS_FT_CA"), Token: token}, show)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if closed := bot.Close(ctx); err == nil {
			err = closed
		}
	}()
	urgent := scam()
	receipt, err := bot.PublishNow(context.Background(), urgent)
	if err != nil {
		return err
	}
	show(urgent, receipt)
	for _, decided := range everyday() {
		time.Sleep(pace)
		if err := bot.Publish(context.Background(), decided); err != nil {
			return err
		}
	}
	return nil
}

// scam is a phishing message; a moderator agreed, and retrieved precedents took part: gold.
func scam() *becasv1.Event {
	event := envelope("scam-1001")
	event.Evidence = &becasv1.Evidence{HumanValidated: true, RagEnhanced: true}
	event.Payload = &becasv1.Event_ScamDetected{ScamDetected: &becasv1.ScamDetected{
		Text: "Moonbeam Bank: your vault closes at noon, send the seed words to moonbeam-vault.example",
		Analysis: &becasv1.ScamAnalysis{
			IsScam:     true,
			ScamType:   "phishing",
			Severity:   "high",
			Confidence: 0.97,
			Indicators: []string{"seed words", "closes at noon"},
			Reasoning:  "It asks for seed words on a look-alike domain and presses for haste.",
		},
	}}
	return event
}

// everyday is what comes in on a quiet day: one that is too thin, one with a bug, one that is delivered twice.
func everyday() []*becasv1.Event {
	language := envelope("language-1002")
	language.Payload = &becasv1.Event_LanguageDetected{LanguageDetected: &becasv1.LanguageDetected{
		Text: "Der Kater schläft auf der Fensterbank.", DetectedLanguage: "de", Confidence: 0.99,
	}}

	tool := envelope("tool-1003")
	tool.Payload = &becasv1.Event_ToolExecuted{ToolExecuted: &becasv1.ToolExecuted{
		ToolName: "reminder", ToolCategory: "productivity", Input: "remind me to water the ferns on Friday", Success: true,
	}}

	message := "my drawbridge command does nothing since the update"
	intent := envelope("intent-1004")
	intent.Payload = &becasv1.Event_IntentAnalyzed{IntentAnalyzed: &becasv1.IntentAnalyzed{
		Message:       message,
		SurfaceIntent: "statement",
		DeepIntent: &becasv1.DeepIntent{
			PrimaryIntent:   "complain",
			EmotionalState:  "annoyed",
			SuggestedAction: "answer",
			Confidence:      0.92,
			Reasoning:       "The member reports that a command stopped working and sounds annoyed.",
		},
		ConversationalContext: &becasv1.ConversationalContext{RecentMessages: 4},
	}}

	// The bug: confidences are shares, not per cent.
	violation := envelope("violation-1005")
	violation.Payload = &becasv1.Event_ViolationDetected{ViolationDetected: &becasv1.ViolationDetected{
		ViolationType: "spam", Severity: "low", Confidence: 97, Evidence: "FERNS FERNS FERNS cheap ferns",
	}}

	correctedLabel := "ask_for_help"
	correction := envelope("correction-1006")
	correction.CausationId = intent.GetEventId()
	correction.Payload = &becasv1.Event_AiCorrection{AiCorrection: &becasv1.AiCorrection{
		Correction: &becasv1.Correction{
			AiDecision: &becasv1.AiDecision{
				Action: "none", Reason: "complaint", Confidence: 0.92, Context: message,
			},
			Category:       "wrong_intent",
			AiMistake:      "Took a call for help for a complaint",
			Lesson:         "A broken command is a call for help",
			CorrectedLabel: &correctedLabel,
		},
	}}

	// A gateway that reconnects delivers messages again; the id makes the second scam harmless.
	return []*becasv1.Event{language, tool, intent, violation, scam(), correction}
}

// envelope names what happened, so that the same happening never has two ids.
func envelope(eventID string) *becasv1.Event {
	return &becasv1.Event{EventId: eventID, Time: timestamppb.Now(), UserId: member, GuildId: guild}
}

// show prints one line of JSON on standard output; bugs of this bot also go to standard error.
func show(sent *becasv1.Event, receipt *becasv1.Receipt) {
	line, err := json.Marshal(map[string]any{
		"eventId":  receipt.GetEventId(),
		"status":   strings.TrimPrefix(receipt.GetStatus().String(), "STATUS_"),
		"category": name(receipt.GetCategory().String(), "CATEGORY_"),
		"tier":     name(receipt.GetTier().String(), "TIER_"),
		"score":    receipt.GetScore(),
		"reasons":  append([]string{}, receipt.GetReasons()...),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
	if receipt.GetStatus() == becasv1.Status_STATUS_INVALID {
		// Sending it again would not help: mend the bot. The reason says which field, and what it takes.
		for _, reason := range receipt.GetReasons() {
			fmt.Fprintf(os.Stderr, "bug in this bot, event %s: %s\n", sent.GetEventId(), reason)
		}
	}
}

// name is `scam_detection` for CATEGORY_SCAM_DETECTION, and empty where it is not set.
func name(value, prefix string) string {
	short := strings.ToLower(strings.TrimPrefix(value, prefix))
	if short == "unspecified" {
		return ""
	}
	return short
}
