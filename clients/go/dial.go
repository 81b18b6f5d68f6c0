package becasft

import (
	"context"
	_ "embed"
	"time"

	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

//go:embed service_config.json
var serviceConfig string

// A peer that is gone without a word is noticed within 40 s; the server allows a ping every 10 s.
const (
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 10 * time.Second
	connectTimeout   = 20 * time.Second
)

func dial(server string, access Access, settings Settings) (*grpc.ClientConn, error) {
	options, err := access.options()
	if err != nil {
		return nil, err
	}
	reconnect := grpcbackoff.Config{
		BaseDelay: settings.FirstBackoff, Multiplier: 1.6, Jitter: 0.2, MaxDelay: settings.LongestBackoff,
	}
	return grpc.NewClient(server, append(options,
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: reconnect, MinConnectTimeout: connectTimeout}),
	)...)
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
