module becas.example/bot

go 1.26.0

require (
	becas.example/ft v0.0.0
	github.com/bwmarrin/discordgo v0.29.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/gorilla/websocket v1.4.2 // indirect
	golang.org/x/crypto v0.57.0 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260921155816-b14227669459 // indirect
	google.golang.org/grpc v1.85.0 // indirect
)

replace becas.example/ft => ../../clients/go
