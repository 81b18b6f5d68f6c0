package moderation

import (
	"strings"

	"google.golang.org/protobuf/types/known/timestamppb"

	becasft "becas.example/ft"
	"becas.example/ft/becasv1"
)

func scamOf(said Said) *becasv1.Event {
	analysis := &becasv1.ScamAnalysis{
		ScamType:   "none",
		Severity:   "none",
		Confidence: 0.88,
		Reasoning:  "Nothing in it asks for money or secrets, and nothing presses for haste.",
	}
	for _, sign := range scamSigns {
		if strings.Contains(strings.ToLower(said.Text), sign) {
			analysis.Indicators = append(analysis.Indicators, sign)
		}
	}
	if len(analysis.GetIndicators()) > 0 {
		analysis.IsScam, analysis.ShouldBanPermanently = true, true
		analysis.ScamType, analysis.Severity, analysis.Confidence = "phishing", "high", 0.97
		analysis.Reasoning = "It presses for haste and asks for what no bank ever asks its customers for."
	}
	made := of(said, "scam.detected")
	made.Payload = &becasv1.Event_ScamDetected{ScamDetected: &becasv1.ScamDetected{Text: said.Text, Analysis: analysis}}
	return made
}

func violationOf(said Said) *becasv1.Event {
	decided := &becasv1.ViolationDetected{
		ViolationType: "none",
		Severity:      "none",
		Confidence:    0.9,
		Evidence:      said.Text,
		Reasoning:     "It insults nobody, threatens nobody and advertises nothing to the members.",
		MessageId:     said.MessageID,
	}
	for _, insult := range insults {
		if strings.Contains(strings.ToLower(said.Text), insult) {
			decided.ViolationType, decided.Severity, decided.Confidence = "harassment", "medium", 0.86
			decided.Reasoning = "It calls another member names, which the first rule of this server forbids."
		}
	}
	made := of(said, "violation.detected")
	made.Payload = &becasv1.Event_ViolationDetected{ViolationDetected: decided}
	return made
}

func policyOf(said Said) *becasv1.Event {
	evaluation := &becasv1.PolicyEvaluation{Confidence: 0.9, Reasoning: "It names no site and links to nothing at all."}
	if strings.Contains(said.Text, ".example") {
		evaluation.Violates, evaluation.Reasoning = true, "It names the site of a bank."
	}
	made := of(said, "policy.evaluated")
	made.Payload = &becasv1.Event_PolicyEvaluated{PolicyEvaluated: &becasv1.PolicyEvaluated{
		Policy: policy, Evaluation: evaluation, Message: said.Text,
	}}
	return made
}

func languageOf(said Said) *becasv1.Event {
	language := "en"
	if shared(german, words(said.Text)) > 1 {
		language = "de"
	}
	made := of(said, "language.detected")
	made.Payload = &becasv1.Event_LanguageDetected{LanguageDetected: &becasv1.LanguageDetected{
		Text: said.Text, DetectedLanguage: language, Confidence: 0.95,
	}}
	return made
}

func sentimentOf(said Said) *becasv1.Event {
	found := &becasv1.SentimentAnalyzed{Message: said.Text, Sentiment: "neutral", Emotion: "none"}
	good, bad := shared(positive, words(said.Text)), shared(negative, words(said.Text))
	switch {
	case good > bad:
		found.Sentiment, found.Score, found.Emotion = "positive", 0.8, "joy"
	case bad > good:
		found.Sentiment, found.Score, found.Emotion = "negative", -0.8, "anger"
	}
	made := of(said, "sentiment.analyzed")
	made.Payload = &becasv1.Event_SentimentAnalyzed{SentimentAnalyzed: found}
	return made
}

func words(text string) map[string]bool {
	found := map[string]bool{}
	for _, word := range strings.Fields(text) {
		found[strings.ToLower(strings.Trim(word, ".,:;!?"))] = true
	}
	return found
}

func shared(known []string, found map[string]bool) int {
	count := 0
	for _, word := range known {
		if found[word] {
			count++
		}
	}
	return count
}

// overlap is shared words among all words.
func overlap(left, right string) float64 {
	one, other := words(left), words(right)
	both := 0
	for word := range one {
		if other[word] {
			both++
		}
	}
	return float64(both) / float64(len(one)+len(other)-both)
}

func of(said Said, kind string) *becasv1.Event {
	made := event(kind, said.MessageID, said.UserID, said.GuildID)
	made.Time = timestamppb.New(said.Time)
	made.Evidence = &becasv1.Evidence{Context: "channel: " + said.Channel}
	return made
}

// event is the envelope; its id says what happened, so that the same happening never has two.
func event(kind, about, userID, guildID string) *becasv1.Event {
	return &becasv1.Event{EventId: becasft.EventID(kind, about), UserId: userID, GuildId: guildID}
}
