package becasft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"becas.example/ft/becasv1"
)

// window is how many batches are under way, as many as the server works on at once; more would only wait there.
const window = 16

const lookTime = 500 * time.Millisecond

// errForeign is the server's fault, and no repetition mends it.
var errForeign = status.Error(codes.Internal, "the server's receipts are not those of the events sent")

type batch struct {
	events []*Pending
	sent   time.Time
}

// delivery brings batches to the server, over one stream after another, until each has its receipts; what a broken
// stream left unanswered goes first over the next.
type delivery struct {
	client   becasv1.IngestServiceClient
	buffer   *buffer
	settings Settings
	backoff  *backoff

	mu       sync.Mutex
	inFlight []*batch
}

// run delivers until the buffer is closed and empty, until the server says what no repetition mends, or until ctx ends.
func (d *delivery) run(ctx context.Context) {
	for len(d.underWay()) > 0 || d.buffer.waitForWork(ctx) {
		err := d.oneStream(ctx)
		if ctx.Err() != nil {
			left := d.buffer.unsettled()
			if left == 0 {
				return
			}
			d.fail(fmt.Errorf("closed while %d events had no receipt: publish them again: %w", left, ErrClosed))
			return
		}
		if err != nil && !again(status.Code(err)) {
			d.fail(err)
			return
		}
		if err == nil && len(d.underWay()) == 0 {
			continue
		}
		select {
		case <-time.After(d.backoff.pause(err)):
		case <-ctx.Done():
		}
	}
}

// oneStream sends and reads until the stream ends; its error is nil where the stream ended well.
func (d *delivery) oneStream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	defer cancel()
	stream, err := d.client.IngestStream(ctx)
	if err != nil {
		return err
	}
	room := make(chan struct{}, window)
	helpers.Go(func() { d.watch(ctx, cancel) })
	helpers.Go(func() {
		// Where sending fails, the reader knows why.
		if d.write(ctx, stream.Send, room) == nil && ctx.Err() == nil {
			_ = stream.CloseSend()
		}
	})
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.settle(response.GetReceipts()); err != nil {
			return err
		}
		<-room
	}
}

func (d *delivery) write(ctx context.Context, send func(*becasv1.IngestRequest) error, room chan<- struct{}) error {
	for _, unanswered := range d.underWay() {
		room <- struct{}{}
		if err := d.send(unanswered, send); err != nil {
			return err
		}
	}
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		events := d.buffer.next(ctx)
		if events == nil {
			return nil
		}
		fresh := &batch{events: events}
		d.mu.Lock()
		d.inFlight = append(d.inFlight, fresh)
		d.mu.Unlock()
		if err := d.send(fresh, send); err != nil {
			return err
		}
	}
}

func (d *delivery) send(sent *batch, send func(*becasv1.IngestRequest) error) error {
	d.mu.Lock()
	sent.sent = time.Now()
	d.mu.Unlock()
	return send(request(sent.events))
}

// watch gives a stream up whose oldest batch waits too long.
func (d *delivery) watch(ctx context.Context, giveUp context.CancelFunc) {
	look := time.NewTicker(min(lookTime, d.settings.AnswerTime/2))
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		d.mu.Lock()
		late := len(d.inFlight) > 0 && !d.inFlight[0].sent.IsZero() &&
			time.Since(d.inFlight[0].sent) > d.settings.AnswerTime
		d.mu.Unlock()
		if late {
			giveUp()
		}
	}
}

// settle: responses come in the order of the requests, receipts in the order of the events.
func (d *delivery) settle(receipts []*becasv1.Receipt) error {
	d.mu.Lock()
	if len(d.inFlight) == 0 || len(d.inFlight[0].events) != len(receipts) {
		d.mu.Unlock()
		return errForeign
	}
	answered := d.inFlight[0].events
	for index, receipt := range receipts {
		if receipt.GetEventId() != answered[index].id {
			d.mu.Unlock()
			return errForeign
		}
	}
	d.inFlight = d.inFlight[1:]
	d.mu.Unlock()
	d.buffer.settle(answered, receipts, nil)
	d.backoff.reset()
	return nil
}

func (d *delivery) underWay() []*batch {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]*batch(nil), d.inFlight...)
}

func (d *delivery) fail(failure error) {
	var events []*Pending
	for _, lost := range d.underWay() {
		events = append(events, lost.events...)
	}
	d.inFlight = nil
	d.buffer.fail(failure, events)
}

// request is made of events that are encoded already: a message writes its unknown fields as they are.
func request(events []*Pending) *becasv1.IngestRequest {
	var encoded []byte
	for _, event := range events {
		encoded = protowire.AppendTag(encoded, 1, protowire.BytesType)
		encoded = protowire.AppendBytes(encoded, event.content)
	}
	made := &becasv1.IngestRequest{}
	made.ProtoReflect().SetUnknown(encoded)
	return made
}
