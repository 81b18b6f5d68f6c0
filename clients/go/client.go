// Package becasft publishes a bot's decisions to becas-ft; every event gets a receipt, whatever happens to the server.
package becasft

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"becas.example/ft/becasv1"
)

// Client is what a bot keeps for its life. It publishes events in batches over a stream, and is safe for concurrent use.
type Client struct {
	connection *grpc.ClientConn
	settings   Settings
	buffer     *buffer
	giveUp     context.CancelFunc
	// Closed when nothing is sent any more.
	ended chan struct{}
}

// Open makes a client of a server, by host and port; without access the server has to be on this machine.
func Open(server string, access Access, settings Settings) (*Client, error) {
	settings = settings.withDefaults()
	connection, err := dial(server, access, settings)
	if err != nil {
		return nil, err
	}
	ctx, giveUp := context.WithCancel(context.Background())
	client := &Client{
		connection: connection,
		settings:   settings,
		buffer:     newBuffer(settings),
		giveUp:     giveUp,
		ended:      make(chan struct{}),
	}
	sender := &delivery{
		client:   becasv1.NewIngestServiceClient(connection),
		buffer:   client.buffer,
		settings: settings,
		backoff:  newBackoff(settings),
	}
	go func() {
		defer close(client.ended)
		sender.run(ctx)
	}()
	return client, nil
}

// Connection is for other calls, by the stubs of becasv1; short failures of those that are safe to repeat are retried
// as service_config.json says.
func (c *Client) Connection() *grpc.ClientConn { return c.connection }

// Publish hands over an event; it waits only while the buffer is full. What is done to the event afterwards does not
// change what is sent. Its error is ctx's, ErrClosed, or what the server said that no repetition mends.
func (c *Client) Publish(ctx context.Context, event *becasv1.Event) (*Pending, error) {
	if size := len(event.GetEventId()); size < 1 || size > maxEventID {
		return nil, fmt.Errorf("event_id: empty, or over %d bytes: derive it from what happened, by EventID", maxEventID)
	}
	content, err := proto.Marshal(event)
	if err != nil {
		return nil, err
	}
	if len(content) > c.settings.BatchBytes {
		return nil, fmt.Errorf("event: %d bytes, at most %d: shorten its texts, or raise Settings.BatchBytes and the"+
			" server's limits", len(content), c.settings.BatchBytes)
	}
	pending := &Pending{id: event.GetEventId(), content: content, done: make(chan struct{})}
	if err := c.buffer.put(ctx, pending); err != nil {
		return nil, err
	}
	return pending, nil
}

// Flush sends what waits at once, and returns when everything that was accepted before has its receipt. Its error is
// ctx's, or says why there will be none.
func (c *Client) Flush(ctx context.Context) error { return c.buffer.flush(ctx) }

// Close sends what waits, reads the last receipts, ends the stream and closes the connection; again: nothing. Where ctx
// ends first its error says how many events have no receipt: publish them again.
func (c *Client) Close(ctx context.Context) error {
	if !c.buffer.close() {
		return nil
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
	}
	c.giveUp()
	<-c.ended
	closed := c.connection.Close()
	if failure := c.buffer.failed(); failure != nil {
		return failure
	}
	return closed
}
