package becasft

import (
	"slices"
	"strings"
)

const maxEventID = 256

// EventID is the id of a decision: the same happening always has the same one, so that it counts once. kind is what
// was decided, as the event is named: "scam.detected". about is what it was decided about: the message's id; where one
// thing is decided about again, also when. Where a part is missing or empty, so is the id, and Publish refuses it.
func EventID(kind string, about ...string) string {
	if kind == "" || len(about) == 0 || slices.Contains(about, "") {
		return ""
	}
	return kind + ":" + strings.Join(about, ":")
}
