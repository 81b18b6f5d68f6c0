// Command bench publishes invented events as fast as their receipts come, and says how fast.
//
// It reads BECAS_FT_SERVER, BECAS_FT_CA and BECAS_FT_TOKEN_FILE as the command becas-ft does, and prints one JSON
// object: {"events", "seconds", "events_per_second", "statuses"}; with -trace also a line for each event that was
// accepted, and one for what became of it.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc/status"

	becasft "becas.example/ft"
	"becas.example/ft/becasv1"
)

const (
	reasoning = "The wording asks for a payment and promises a prize that nobody announced in the guild."
	callTime  = 30 * time.Second
)

type options struct {
	server       string
	events       int
	prefix       string
	confidence   float64
	pace         float64
	calls        bool
	trace        bool
	bufferBytes  int
	closeSeconds float64
}

func main() {
	var chosen options
	flag.StringVar(&chosen.server, "server", cmp.Or(os.Getenv("BECAS_FT_SERVER"), "127.0.0.1:50051"), "host and port")
	flag.IntVar(&chosen.events, "events", 200_000, "how many")
	flag.StringVar(&chosen.prefix, "prefix", "bench", "of their ids and texts; the same again: duplicates")
	flag.Float64Var(&chosen.confidence, "confidence", 0.9, "of their decisions; over 1: INVALID")
	flag.Float64Var(&chosen.pace, "pace", 0, "seconds between two events")
	flag.BoolVar(&chosen.calls, "calls", false, "one call an event, not a stream")
	flag.BoolVar(&chosen.trace, "trace", false, "a line for each event and each receipt")
	flag.IntVar(&chosen.bufferBytes, "buffer-bytes", 0, "the client's BufferBytes")
	flag.Float64Var(&chosen.closeSeconds, "close-seconds", 0, "do not flush, and close within so many seconds")
	flag.Parse()
	if err := run(chosen); err != nil {
		fmt.Fprintln(os.Stderr, worded(err))
		os.Exit(1)
	}
}

// worded is an error as the clients of other languages say it: a status by the name that its code has in the contract.
func worded(err error) string {
	if failed, ok := status.FromError(err); ok {
		return fmt.Sprintf("%s: %s", code.Code(failed.Code()), failed.Message())
	}
	return err.Error()
}

func run(chosen options) error {
	access, err := becasft.AccessFromEnvironment()
	if err != nil {
		return err
	}
	client, err := becasft.Open(chosen.server, access, becasft.Settings{BufferBytes: chosen.bufferBytes})
	if err != nil {
		return err
	}
	events := make([]*becasv1.Event, chosen.events)
	for number := range events {
		events[number] = invented(chosen.prefix, number, chosen.confidence)
	}
	start := time.Now()
	var receipts []*becasv1.Receipt
	if chosen.calls {
		receipts, err = call(client, events)
	} else {
		receipts, err = publish(client, chosen, events)
	}
	seconds := time.Since(start).Seconds()
	if err != nil {
		return err
	}
	statuses := map[string]int{}
	for _, receipt := range receipts {
		statuses[short(receipt.GetStatus())]++
	}
	say(map[string]any{
		"events": len(receipts), "seconds": seconds, "events_per_second": float64(len(receipts)) / seconds,
		"statuses": statuses,
	})
	return nil
}

// publish sends everything in batches over a stream.
func publish(client *becasft.Client, chosen options, events []*becasv1.Event) ([]*becasv1.Receipt, error) {
	background := context.Background()
	var all []*becasft.Pending
	told := make(chan *becasft.Pending, len(events))
	var teller sync.WaitGroup
	teller.Go(func() {
		for pending := range told {
			tell(pending)
		}
	})
	for _, event := range events {
		pending, err := client.Publish(background, event)
		if err != nil {
			return nil, err
		}
		all = append(all, pending)
		if chosen.trace {
			say(map[string]any{"accepted": event.GetEventId()})
			told <- pending
		}
		time.Sleep(time.Duration(chosen.pace * float64(time.Second)))
	}
	ending, cancel := background, context.CancelFunc(func() {})
	if chosen.closeSeconds > 0 {
		ending, cancel = context.WithTimeout(background, time.Duration(chosen.closeSeconds*float64(time.Second)))
	} else if err := client.Flush(background); err != nil {
		return nil, err
	}
	defer cancel()
	if err := client.Close(ending); err != nil {
		return nil, err
	}
	close(told)
	teller.Wait()
	var receipts []*becasv1.Receipt
	for _, pending := range all {
		receipt, err := pending.Receipt(background)
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, receipt)
	}
	return receipts, nil
}

// call sends one Ingest an event, over the same connection.
func call(client *becasft.Client, events []*becasv1.Event) ([]*becasv1.Receipt, error) {
	stub := becasv1.NewIngestServiceClient(client.Connection())
	var receipts []*becasv1.Receipt
	for _, event := range events {
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		response, err := stub.Ingest(ctx, &becasv1.IngestRequest{Events: []*becasv1.Event{event}})
		cancel()
		if err != nil {
			return nil, err
		}
		receipts = append(receipts, response.GetReceipts()...)
	}
	return receipts, client.Close(context.Background())
}

// invented is a gold event whose text no other number has.
func invented(prefix string, number int, confidence float64) *becasv1.Event {
	letters := strings.Map(func(digit rune) rune { return digit - '0' + 'a' }, strconv.Itoa(number))
	return &becasv1.Event{
		EventId:  fmt.Sprintf("%s-%d", prefix, number),
		UserId:   strconv.Itoa(700_000_000_000_000_000 + number%5000),
		GuildId:  strconv.Itoa(800_000_000_000_000_000 + number%50),
		Evidence: &becasv1.Evidence{HumanValidated: true, RagEnhanced: true},
		Payload: &becasv1.Event_ScamDetected{ScamDetected: &becasv1.ScamDetected{
			Text: fmt.Sprintf("Moonbeam Bank: vault %s %s closes, send the seed words to moonbeam-vault.example",
				prefix, letters),
			Analysis: &becasv1.ScamAnalysis{
				IsScam: true, ScamType: "prize", Severity: "high", Confidence: confidence, Reasoning: reasoning,
			},
		}},
	}
}

func tell(pending *becasft.Pending) {
	if receipt, err := pending.Receipt(context.Background()); err == nil {
		say(map[string]any{
			"receipt": receipt.GetEventId(), "status": short(receipt.GetStatus()),
			"reasons": append([]string{}, receipt.GetReasons()...),
		})
	}
}

func short(status becasv1.Status) string { return strings.TrimPrefix(status.String(), "STATUS_") }

var output sync.Mutex

// say prints a line of JSON.
func say(line map[string]any) {
	output.Lock()
	defer output.Unlock()
	encoded, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(encoded))
}
