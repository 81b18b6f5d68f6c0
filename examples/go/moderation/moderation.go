// Package moderation is what a bot decides, as events for becas-ft. The rules stand in for your models; the events are
// what you keep.
package moderation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"becas.example/ft/becasv1"
)

const (
	firstTrust  = 50.0
	lostTrust   = 15.0
	similar     = 0.6
	raidMembers = 4
	raidTime    = time.Minute
	young       = 24 * time.Hour
	copies      = 3
)

var (
	scamSigns = []string{"seed words", "vault closes", "free nitro"}
	insults   = []string{"idiot"}
	german    = []string{"der", "die", "das", "ist", "und", "auf"}
	positive  = []string{"lovely", "thanks", "schön"}
	negative  = []string{"idiot", "nothing", "broken"}
	policy    = &becasv1.Policy{Description: "No links to banks, shops or wallets.", Threshold: 0.8}
)

// Said is a message, whatever the library.
type Said struct {
	MessageID, UserID, GuildID, Channel, Text string
	Time                                      time.Time
	ToBot                                     bool
}

// Moderation decides, and remembers what later decisions and corrections need.
type Moderation struct {
	trust      map[string]float64
	violations map[string]int64
	flagged    []flagged
	said       map[[2]string][]string
	joined     []joined
	messages   int64
}

type flagged struct {
	said     Said
	decision *becasv1.Event
}

type joined struct {
	time   time.Time
	userID string
}

// New has seen nothing yet.
func New() *Moderation {
	return &Moderation{
		trust: map[string]float64{}, violations: map[string]int64{}, said: map[[2]string][]string{},
	}
}

// Message is everything that is decided about a message, harmless or not: models learn from both.
func (m *Moderation) Message(said Said) []*becasv1.Event {
	m.messages++
	scam, violation := scamOf(said), violationOf(said)
	events := []*becasv1.Event{languageOf(said), sentimentOf(said), scam, violation, policyOf(said)}
	if said.ToBot {
		events = append(events, m.intent(said))
	}
	switch {
	case scam.GetScamDetected().GetAnalysis().GetIsScam():
		events = append(events, m.precedents(said, scam)...)
		events = append(events, m.consequences(said, "phishing")...)
		m.flagged = append(m.flagged, flagged{said, scam})
	case violation.GetViolationDetected().GetViolationType() != "none":
		events = append(events, m.consequences(said, "harassment")...)
		m.flagged = append(m.flagged, flagged{said, violation})
	}
	return append(events, m.copies(said)...)
}

// Joined looks for raids: several young accounts within a minute.
func (m *Moderation) Joined(userID, guildID string, at, accountSince time.Time) []*becasv1.Event {
	if at.Sub(accountSince) > young {
		return nil
	}
	m.joined = append(m.joined, joined{at, userID})
	m.joined = slices.DeleteFunc(m.joined, func(other joined) bool { return at.Sub(other.time) > raidTime })
	if len(m.joined) != raidMembers {
		return nil
	}
	var users []string
	for _, other := range m.joined {
		users = append(users, other.userID)
	}
	raid := event("network.raid_detected", users[0], "", guildID)
	raid.Time = timestamppb.New(at)
	// Evidence is what the payload has no field for; this one lifts the event over the lowest tier.
	raid.Evidence = &becasv1.Evidence{
		Reasoning: "Four accounts that are younger than a day came within one minute of each other.",
	}
	raid.Payload = &becasv1.Event_NetworkRaidDetected{NetworkRaidDetected: &becasv1.NetworkPattern{
		Pattern:    "mass_join",
		Users:      users,
		Confidence: 0.92,
		Indicators: []string{fmt.Sprintf("%d accounts younger than a day joined within a minute", len(users))},
	}}
	return []*becasv1.Event{raid}
}

// Dismissed: a moderator says that a flagged message is fine; the correction names the event that was wrong.
func (m *Moderation) Dismissed(messageID, moderatorID string) []*becasv1.Event {
	index := slices.IndexFunc(m.flagged, func(other flagged) bool { return other.said.MessageID == messageID })
	if index < 0 {
		return nil
	}
	said, decision := m.flagged[index].said, m.flagged[index].decision
	m.flagged = slices.Delete(m.flagged, index, index+1)
	decided := &becasv1.AiDecision{Target: said.UserID, Context: said.Text}
	if scam := decision.GetScamDetected().GetAnalysis(); scam != nil {
		decided.Action, decided.Reason, decided.Confidence = scam.GetScamType(), scam.GetReasoning(), scam.GetConfidence()
	} else {
		violation := decision.GetViolationDetected()
		decided.Action, decided.Reason = violation.GetViolationType(), violation.GetReasoning()
		decided.Confidence = violation.GetConfidence()
	}
	correction := event("ai.correction", messageID, moderatorID, said.GuildID)
	correction.CausationId = decision.GetEventId()
	correction.Payload = &becasv1.Event_AiCorrection{AiCorrection: &becasv1.AiCorrection{Correction: &becasv1.Correction{
		AiDecision:      decided,
		Category:        "false_positive",
		AiMistake:       "Took a harmless message for " + decided.GetAction(),
		Lesson:          "Friends tease each other; a rude word alone is no harassment",
		ModeratorAction: &becasv1.ModeratorAction{Type: "dismiss", Reason: "They are friends and were joking"},
		GuildId:         said.GuildID,
	}}}
	return []*becasv1.Event{correction}
}

// Action is what a moderator did; Duration is nil where it has no end.
type Action struct {
	EntryID, Type, TargetID, ExecutorID, GuildID, Reason string
	Duration                                             *time.Duration
}

// Acted: a moderator acted; without a reason there is nothing to learn.
func (m *Moderation) Acted(done Action) []*becasv1.Event {
	if done.Reason == "" {
		return nil
	}
	executed := &becasv1.ModerationActionExecuted{
		ActionType:   done.Type,
		TargetUserId: done.TargetID,
		ExecutorId:   done.ExecutorID,
		Reason:       done.Reason,
		GuildId:      done.GuildID,
	}
	if done.Duration != nil {
		milliseconds := done.Duration.Round(time.Second).Milliseconds()
		executed.Duration = &milliseconds
	}
	made := event("moderation.action_executed", done.EntryID, done.TargetID, done.GuildID)
	made.Payload = &becasv1.Event_ModerationActionExecuted{ModerationActionExecuted: executed}
	return []*becasv1.Event{made}
}

// Remind is the command /remind: a tool was chosen for a request, and ran.
func (m *Moderation) Remind(commandID, userID, guildID, text string) []*becasv1.Event {
	made := event("tool.executed", commandID, userID, guildID)
	made.Payload = &becasv1.Event_ToolExecuted{ToolExecuted: &becasv1.ToolExecuted{
		ToolName: "reminder", ToolCategory: "productivity", Input: text, Success: true,
	}}
	return []*becasv1.Event{made}
}

// Plan is the command /plan: a request was split into steps, each a tool.
func (m *Moderation) Plan(commandID, userID, guildID, text string) []*becasv1.Event {
	var tools []string
	var steps []*becasv1.WorkflowStep
	for index, part := range strings.Split(text, " then ") {
		step := &becasv1.WorkflowStep{Id: int64(index + 1), Tool: strings.Fields(part)[0]}
		if index > 0 {
			step.DependsOn = []int64{int64(index)}
		}
		tools, steps = append(tools, step.GetTool()), append(steps, step)
	}
	made := event("workflow.parsed", commandID, userID, guildID)
	made.Payload = &becasv1.Event_WorkflowParsed{WorkflowParsed: &becasv1.WorkflowParsed{
		WorkflowText: text, Parsed: &becasv1.ParsedWorkflow{Steps: steps}, Steps: tools,
	}}
	return []*becasv1.Event{made}
}

// Taught is the message command "Teach: positive": a moderator gives a ready example.
func (m *Moderation) Taught(commandID, userID, guildID, text string) []*becasv1.Event {
	made := event("custom.example", commandID, userID, guildID)
	made.Payload = &becasv1.Event_CustomExample{CustomExample: &becasv1.CustomExample{
		Category: "sentiment_analysis", Input: text, Output: "positive", Confidence: 1,
	}}
	return []*becasv1.Event{made}
}

func (m *Moderation) intent(said Said) *becasv1.Event {
	intent := &becasv1.DeepIntent{
		PrimaryIntent:   "talk",
		EmotionalState:  "calm",
		SuggestedAction: "answer",
		Confidence:      0.92,
		Reasoning:       "The member speaks to the bot, names something that fails, and wants it mended.",
	}
	if words(said.Text)["help"] {
		intent.PrimaryIntent, intent.EmotionalState = "ask_for_help", "annoyed"
	}
	made := of(said, "intent.analyzed")
	made.Payload = &becasv1.Event_IntentAnalyzed{IntentAnalyzed: &becasv1.IntentAnalyzed{
		Message:               said.Text,
		SurfaceIntent:         "statement",
		DeepIntent:            intent,
		ConversationalContext: &becasv1.ConversationalContext{RecentMessages: m.messages},
	}}
	return made
}

// precedents: earlier scams that read alike make the bot surer.
func (m *Moderation) precedents(said Said, decision *becasv1.Event) []*becasv1.Event {
	var examples []*becasv1.SimilarViolation
	total := 0.0
	for _, earlier := range m.flagged {
		if share := overlap(said.Text, earlier.said.Text); earlier.decision.GetScamDetected() != nil && share >= similar {
			examples = append(examples, &becasv1.SimilarViolation{ViolationType: "phishing"})
			total += share
		}
	}
	if len(examples) == 0 {
		return nil
	}
	count := int64(len(examples))
	alike, enhanced := of(said, "rag.suspicious_similarity"), of(said, "rag.context_enhanced")
	alike.Payload = &becasv1.Event_RagSuspiciousSimilarity{RagSuspiciousSimilarity: &becasv1.RagSuspiciousSimilarity{
		MessageId:         said.MessageID,
		GuildId:           said.GuildID,
		SimilarViolations: count,
		AvgSimilarity:     total / float64(count),
		Examples:          examples,
	}}
	enhanced.Payload = &becasv1.Event_RagContextEnhanced{RagContextEnhanced: &becasv1.RagContextEnhanced{
		MessageId:          said.MessageID,
		GuildId:            said.GuildID,
		OriginalConfidence: decision.GetScamDetected().GetAnalysis().GetConfidence(),
		EnhancedConfidence: 0.99,
		Precedents:         count,
		EnhancedReasoning:  "A message that reads almost the same was found to be phishing before.",
	}}
	return []*becasv1.Event{alike, enhanced}
}

// consequences is what a violation does to its author's standing.
func (m *Moderation) consequences(said Said, what string) []*becasv1.Event {
	before, known := m.trust[said.UserID]
	if !known {
		before = firstTrust
	}
	after := max(0, before-lostTrust)
	m.trust[said.UserID] = after
	m.violations[said.UserID]++
	count := m.violations[said.UserID]
	risk := "medium"
	if count > 1 {
		risk = "high"
	}
	changed, updated := of(said, "trust_score.changed"), of(said, "user.profile_updated")
	changed.Payload = &becasv1.Event_TrustScoreChanged{TrustScoreChanged: &becasv1.TrustScoreChanged{
		UserId:   said.UserID,
		GuildId:  said.GuildID,
		OldScore: before,
		NewScore: after,
		Delta:    after - before,
		Reason:   "a message was found to be " + what,
	}}
	updated.Payload = &becasv1.Event_UserProfileUpdated{UserProfileUpdated: &becasv1.UserProfileUpdated{
		UserId: said.UserID,
		Profile: &becasv1.Profile{
			ActivityLevel:   "low",
			TrustScore:      after,
			Violations:      count,
			BehaviorPattern: fmt.Sprintf("writes little, %s among it", what),
			RiskLevel:       risk,
		},
		Updates: []string{"trust_score", "violations"},
	}}
	return []*becasv1.Event{changed, updated}
}

// copies are accounts that say the same, word for word.
func (m *Moderation) copies(said Said) []*becasv1.Event {
	key := [2]string{said.GuildID, said.Text}
	if slices.Contains(m.said[key], said.UserID) {
		return nil
	}
	m.said[key] = append(m.said[key], said.UserID)
	if len(m.said[key]) != copies {
		return nil
	}
	made := of(said, "network.bot_pattern")
	made.Payload = &becasv1.Event_NetworkBotPattern{NetworkBotPattern: &becasv1.NetworkPattern{
		Pattern:    "identical_message_burst",
		Users:      slices.Clone(m.said[key]),
		Confidence: 0.9,
		Indicators: []string{fmt.Sprintf("%d accounts posted the same text", copies)},
	}}
	return []*becasv1.Event{made}
}
