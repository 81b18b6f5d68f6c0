package becasft

import (
	"context"
	"sync"
	"time"

	"becas.example/ft/becasv1"
)

// Pending is an event that was accepted.
type Pending struct {
	id      string
	content []byte
	since   time.Time
	done    chan struct{}
	receipt *becasv1.Receipt
	err     error
}

// Done is closed when it is known what became of the event.
func (p *Pending) Done() <-chan struct{} { return p.done }

// Receipt waits for what became of the event. Its error is ctx's, or says why there will be no receipt.
func (p *Pending) Receipt(ctx context.Context) (*becasv1.Receipt, error) {
	select {
	case <-p.done:
		return p.receipt, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// buffer holds events that have no receipt yet: bounded in bytes, in the order of publishing.
type buffer struct {
	settings Settings
	// Says to the one that sends that something came, or is to go out at once.
	arrived chan struct{}

	mu           sync.Mutex
	waiting      []*Pending
	waitingBytes int
	heldBytes    int
	accepted     int
	settled      int
	// Everything accepted up to this number goes out without waiting for others.
	hurried int
	// Closed, and made anew, when events are settled or nothing more can be.
	progress chan struct{}
	closed   bool
	failure  error
}

func newBuffer(settings Settings) *buffer {
	return &buffer{settings: settings, arrived: make(chan struct{}, 1), progress: make(chan struct{})}
}

// put accepts an event, once there is room.
func (b *buffer) put(ctx context.Context, event *Pending) error {
	size := len(event.content)
	for {
		b.mu.Lock()
		if err := b.check(); err != nil {
			b.mu.Unlock()
			return err
		}
		if b.heldBytes == 0 || b.heldBytes+size <= b.settings.BufferBytes {
			break
		}
		progress := b.progress
		b.mu.Unlock()
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	event.since = time.Now()
	b.heldBytes += size
	b.waitingBytes += size
	b.waiting = append(b.waiting, event)
	b.accepted++
	b.mu.Unlock()
	b.arrive()
	return nil
}

// waitForWork waits until something is to be sent; false where nothing ever will be, or ctx ends.
func (b *buffer) waitForWork(ctx context.Context) bool {
	for {
		b.mu.Lock()
		some, closed := len(b.waiting) > 0, b.closed
		b.mu.Unlock()
		if some || closed {
			return some
		}
		select {
		case <-b.arrived:
		case <-ctx.Done():
			return false
		}
	}
}

// next is a full batch at once, a smaller one when its first event has waited long enough; none at the end, or when
// ctx ends.
func (b *buffer) next(ctx context.Context) []*Pending {
	for b.waitForWork(ctx) {
		b.mu.Lock()
		left := time.Until(b.waiting[0].since.Add(b.settings.Linger))
		hurry := b.closed || b.hurried > b.accepted-len(b.waiting)
		full := len(b.waiting) >= b.settings.BatchEvents || b.waitingBytes >= b.settings.BatchBytes
		if full || hurry || left <= 0 {
			batch := b.take()
			b.mu.Unlock()
			return batch
		}
		b.mu.Unlock()
		enough := time.NewTimer(left)
		select {
		case <-b.arrived:
		case <-enough.C:
		case <-ctx.Done():
		}
		enough.Stop()
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

// settle notes what became of events, in the order of publishing; receipts is nil where err says why there are none.
func (b *buffer) settle(events []*Pending, receipts []*becasv1.Receipt, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for index, event := range events {
		if event.err = err; err == nil {
			event.receipt = receipts[index]
		}
		b.heldBytes -= len(event.content)
		event.content = nil
		close(event.done)
	}
	b.settled += len(events)
	b.tell()
}

// flush waits until everything that was accepted before is settled.
func (b *buffer) flush(ctx context.Context) error {
	b.mu.Lock()
	target := b.accepted
	b.hurried = target
	b.mu.Unlock()
	b.arrive()
	for {
		b.mu.Lock()
		settled, failure, progress := b.settled, b.failure, b.progress
		b.mu.Unlock()
		if failure != nil || settled >= target {
			return failure
		}
		select {
		case <-progress:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close accepts nothing any more; what waits goes out at once. It says whether it was open.
func (b *buffer) close() bool {
	b.mu.Lock()
	open := !b.closed
	b.closed = true
	b.tell()
	b.mu.Unlock()
	b.arrive()
	return open
}

// fail says that nothing that waits will have a receipt; events in flight come first.
func (b *buffer) fail(failure error, inFlight []*Pending) {
	b.mu.Lock()
	if b.failure == nil {
		b.failure = failure
	}
	lost := append(inFlight, b.waiting...)
	b.waiting, b.waitingBytes = nil, 0
	b.mu.Unlock()
	b.settle(lost, nil, failure)
}

func (b *buffer) unsettled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted - b.settled
}

func (b *buffer) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failure
}

func (b *buffer) check() error {
	if b.failure == nil && b.closed {
		return ErrClosed
	}
	return b.failure
}

func (b *buffer) tell() {
	close(b.progress)
	b.progress = make(chan struct{})
}

func (b *buffer) arrive() {
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

func (b *buffer) take() []*Pending {
	count, size := 0, 0
	for count < min(len(b.waiting), b.settings.BatchEvents) {
		size += len(b.waiting[count].content)
		if count > 0 && size > b.settings.BatchBytes {
			size -= len(b.waiting[count].content)
			break
		}
		count++
	}
	batch := b.waiting[:count:count]
	b.waiting = b.waiting[count:]
	b.waitingBytes -= size
	return batch
}
