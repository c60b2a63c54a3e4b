module pulumi-command

go 1.26.6

require (
	github.com/pkg/sftp v1.13.12 // copies files, as the vendor's does
	github.com/pulumi/pulumi/sdk/v3 v3.274.1 // the engine's protocol; as the CLI that is built
	golang.org/x/crypto v0.59.0 // SSH; see the replacement below
	google.golang.org/grpc v1.85.0 // answers the engine
	google.golang.org/protobuf v1.36.12 // its messages
)

require (
	github.com/kr/fs v0.1.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/text v0.44.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
)

// the vendor's 1.2.1 has this one: newer ones word some failures otherwise
replace golang.org/x/crypto => golang.org/x/crypto v0.48.0
