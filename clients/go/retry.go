package becasft

import (
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// again says whether the server is away, busy, or gave the stream up; an event id counts once, so that repeating is safe.
func again(code codes.Code) bool {
	switch code {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Canceled:
		return true
	default:
		return false
	}
}

// backoff gives pauses that double from failure to failure; the server may ask for longer ones.
type backoff struct {
	first, longest, next time.Duration
}

func newBackoff(settings Settings) *backoff {
	return &backoff{first: settings.FirstBackoff, longest: settings.LongestBackoff, next: settings.FirstBackoff}
}

// reset is called when the server answers.
func (b *backoff) reset() { b.next = b.first }

// pause is the time until the next attempt after a stream ended with err, nil where it ended well and too early.
func (b *backoff) pause(err error) time.Duration {
	own := b.next
	b.next = min(2*b.next, b.longest)
	// Never earlier than asked, and bots that lost the same server do not all come back at once.
	return time.Duration(float64(max(own, askedPause(err))) * (1 + 0.2*rand.Float64()))
}

// askedPause is the delay of the status's RetryInfo; 0 where it has none.
func askedPause(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}
