// Package publisher publishes a bot's decisions to becas-ft: copy it into the bot.
package publisher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"becas.example/bot/becasv1"
)

const (
	deadline       = 10 * time.Second
	batchEvents    = 100
	linger         = 200 * time.Millisecond
	bufferedEvents = 10_000
	firstBackoff   = 200 * time.Millisecond
	longestBackoff = 5 * time.Second
)

// Repeating is safe since an event id counts once; it helps only while the server is away.
const serviceConfig = `{
  "methodConfig": [{
    "name": [{"service": "becas.ft.v1.IngestService", "method": "Ingest"}],
    "retryPolicy": {
      "maxAttempts": 5,
      "initialBackoff": "0.5s",
      "maxBackoff": "5s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`

// Publisher is a connection that a bot keeps for its life; safe for concurrent use until Close.
type Publisher struct {
	connection *grpc.ClientConn
	client     becasv1.IngestServiceClient
	onReceipt  func(*becasv1.Event, *becasv1.Receipt)
	waiting    chan *becasv1.Event
	context    context.Context
	cancel     context.CancelFunc
	// Closed when the sender has ended; failure is set before.
	ended   chan struct{}
	failure error
	// Of the sender alone.
	stream grpc.BidiStreamingClient[becasv1.IngestRequest, becasv1.IngestResponse]
	hangUp context.CancelFunc
}

// Access is how a bot calls a server beyond this machine.
type Access struct {
	// CAFile holds the authority to trust, PEM; the system's are trusted where it is empty.
	CAFile string
	// Token is the bot's; it travels by TLS only.
	Token string
}

// Open connects to a server, by host and port; without access it has to be on this machine. onReceipt is told what
// became of each event given to Publish.
func Open(server string, access Access, onReceipt func(*becasv1.Event, *becasv1.Receipt)) (*Publisher, error) {
	options, err := access.options()
	if err != nil {
		return nil, err
	}
	connection, err := grpc.NewClient(server, append(options, grpc.WithDefaultServiceConfig(serviceConfig))...)
	if err != nil {
		return nil, err
	}
	background, cancel := context.WithCancel(context.Background())
	publisher := &Publisher{
		connection: connection,
		client:     becasv1.NewIngestServiceClient(connection),
		onReceipt:  onReceipt,
		waiting:    make(chan *becasv1.Event, bufferedEvents),
		context:    background,
		cancel:     cancel,
		ended:      make(chan struct{}),
	}
	go publisher.run()
	return publisher, nil
}

// PublishNow sends one event and waits until it is on the server's disk. Its error is UNAVAILABLE after five
// attempts, or a status that no repetition mends.
func (p *Publisher) PublishNow(ctx context.Context, event *becasv1.Event) (*becasv1.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	response, err := p.client.Ingest(ctx, &becasv1.IngestRequest{Events: []*becasv1.Event{event}})
	if err != nil {
		return nil, err
	}
	return response.GetReceipts()[0], nil
}

// Publish hands over an event; it waits only while the buffer is full. Its error is that of an earlier batch, which
// failed in a way that no repetition mends.
func (p *Publisher) Publish(ctx context.Context, event *becasv1.Event) error {
	select {
	case p.waiting <- event:
		return nil
	case <-p.ended:
		return p.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close sends what waits, reads the last receipts, ends the stream and closes the connection. Nothing may be published
// any more. Where ctx ends first, events without a receipt have to be published again.
func (p *Publisher) Close(ctx context.Context) error {
	close(p.waiting)
	select {
	case <-p.ended:
	case <-ctx.Done():
	}
	p.cancel()
	<-p.ended
	return errors.Join(p.failure, p.connection.Close())
}

func (p *Publisher) run() {
	defer close(p.ended)
	p.failure = p.sendBatches()
	if p.stream != nil {
		p.hangUp()
	}
}

func (p *Publisher) sendBatches() error {
	for {
		batch := p.nextBatch()
		if len(batch) == 0 {
			return p.endStream()
		}
		response, err := p.exchange(&becasv1.IngestRequest{Events: batch})
		if err != nil {
			return err
		}
		if len(response.GetReceipts()) != len(batch) {
			return fmt.Errorf("%d receipts for %d events", len(response.GetReceipts()), len(batch))
		}
		for index, receipt := range response.GetReceipts() {
			p.onReceipt(batch[index], receipt)
		}
	}
}

// nextBatch is a full batch at once, a smaller one after a short wait, none at the end.
func (p *Publisher) nextBatch() []*becasv1.Event {
	first, open := <-p.waiting
	if !open {
		return nil
	}
	batch := []*becasv1.Event{first}
	enough := time.After(linger)
	for len(batch) < batchEvents {
		select {
		case event, open := <-p.waiting:
			if !open {
				return batch
			}
			batch = append(batch, event)
		case <-enough:
			return batch
		}
	}
	return batch
}

// exchange sends a batch until its receipts are there; the stream is opened anew where it broke.
func (p *Publisher) exchange(request *becasv1.IngestRequest) (*becasv1.IngestResponse, error) {
	for backoff := firstBackoff; ; backoff = min(2*backoff, longestBackoff) {
		response, err := p.attempt(request)
		if err == nil {
			return response, nil
		}
		if p.context.Err() != nil {
			return nil, fmt.Errorf("closed before all receipts were there: %w", err)
		}
		// A batch that waited too long is cancelled here; a server that drains ends the stream.
		switch status.Code(err) {
		case codes.Unavailable, codes.Canceled:
		default:
			if !errors.Is(err, io.EOF) {
				return nil, err
			}
		}
		// Bots that lost the same server must not all come back at once.
		pause := time.Duration(float64(backoff) * (0.8 + 0.4*rand.Float64()))
		select {
		case <-time.After(pause):
		case <-p.context.Done():
		}
	}
}

func (p *Publisher) attempt(request *becasv1.IngestRequest) (*becasv1.IngestResponse, error) {
	if p.stream == nil {
		ctx, cancel := context.WithCancel(p.context)
		stream, err := p.client.IngestStream(ctx)
		if err != nil {
			cancel()
			return nil, err
		}
		p.stream, p.hangUp = stream, cancel
	}
	tooLong := time.AfterFunc(deadline, p.hangUp)
	defer tooLong.Stop()
	// Where Send fails, Recv says why.
	if err := p.stream.Send(request); err != nil && !errors.Is(err, io.EOF) {
		p.drop()
		return nil, err
	}
	response, err := p.stream.Recv()
	if err != nil {
		p.drop()
	}
	return response, err
}

func (p *Publisher) drop() {
	p.hangUp()
	p.stream = nil
}

func (p *Publisher) endStream() error {
	if p.stream == nil {
		return nil
	}
	if err := p.stream.CloseSend(); err != nil {
		return err
	}
	// Everything has its receipt: how the stream ends no longer matters.
	_, _ = p.stream.Recv()
	return nil
}

func (a Access) options() ([]grpc.DialOption, error) {
	if a == (Access{}) {
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}, nil
	}
	trust := credentials.NewTLS(nil)
	if a.CAFile != "" {
		named, err := credentials.NewClientTLSFromFile(a.CAFile, "")
		if err != nil {
			return nil, err
		}
		trust = named
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(trust)}
	if a.Token != "" {
		options = append(options, grpc.WithPerRPCCredentials(bearer(a.Token)))
	}
	return options, nil
}

// bearer sends a token with every call.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }
