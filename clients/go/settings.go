package becasft

import (
	"cmp"
	"errors"
	"os"
	"strings"
	"time"
)

const mebibyte = 1 << 20

// ErrClosed says that the client is closed.
var ErrClosed = errors.New("the client is closed")

// Access is how a server beyond this machine is called.
type Access struct {
	// CAFile holds the authority to trust, PEM; the system's are trusted where it is empty.
	CAFile string
	// Token is the bot's; it travels by TLS only.
	Token string
}

// AccessFromEnvironment reads BECAS_FT_CA, the authority's file, and BECAS_FT_TOKEN_FILE, a file with the token, as the
// command becas-ft does.
func AccessFromEnvironment() (Access, error) {
	access := Access{CAFile: os.Getenv("BECAS_FT_CA")}
	if path := os.Getenv("BECAS_FT_TOKEN_FILE"); path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return access, err
		}
		access.Token = strings.TrimSpace(string(content))
	}
	return access, nil
}

// Settings are sizes and times; what is zero has its default, which suits a bot.
type Settings struct {
	// BatchEvents go in one message, at most; 500.
	BatchEvents int
	// BatchBytes go in one message, at most; 1 MiB. A larger event is refused. The server takes 4 MiB by default.
	BatchBytes int
	// Linger is how long an event waits for others; 0.2 s.
	Linger time.Duration
	// BufferBytes is how many bytes of events without a receipt are kept; 16 MiB. When it is full, Publish waits.
	BufferBytes int
	// AnswerTime is how long a batch waits for its receipts before it is sent over another stream; 60 s.
	AnswerTime time.Duration
	// FirstBackoff is the pause after a first failure; 0.2 s. It doubles with each, and the server may ask for more.
	FirstBackoff time.Duration
	// LongestBackoff is the longest pause that the client takes by itself; 5 s.
	LongestBackoff time.Duration
}

func (s Settings) withDefaults() Settings {
	return Settings{
		BatchEvents:    cmp.Or(s.BatchEvents, 500),
		BatchBytes:     cmp.Or(s.BatchBytes, mebibyte),
		Linger:         cmp.Or(s.Linger, 200*time.Millisecond),
		BufferBytes:    cmp.Or(s.BufferBytes, 16*mebibyte),
		AnswerTime:     cmp.Or(s.AnswerTime, time.Minute),
		FirstBackoff:   cmp.Or(s.FirstBackoff, 200*time.Millisecond),
		LongestBackoff: cmp.Or(s.LongestBackoff, 5*time.Second),
	}
}
