// Stand-in for the vendor's command provider 1.2.1: commands and copies over SSH, and local commands.
//
// It is a plugin process of the Pulumi engine and uses the vendor's SSH library, so that what the two
// say of a host that cannot be reached, and how long they wait for it, is the same.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	pb "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

const (
	usage        = "Usage: pulumi-command command|quiet [FLAG...] [ENGINE_ADDRESS]"
	messageLimit = 400 << 20   // bytes; the engine's own limit
	grace        = time.Second // for requests that run when the engine says to stop
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve answers the engine until a signal says to stop. The first line on standard output is the port.
func serve(arguments []string) error {
	if len(arguments) == 0 || modes[arguments[0]] == nil {
		return errors.New(usage)
	}
	provider := &provider{resources: modes[arguments[0]]}
	// without an address the engine attaches itself: PULUMI_DEBUG_PROVIDERS names us
	if len(arguments) > 1 {
		if err := provider.attach(arguments[len(arguments)-1]); err != nil {
			return err
		}
	}

	// before the port is known, so that no signal can come too early
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("no port to serve on: %w", err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(messageLimit))
	pb.RegisterResourceProviderServer(server, provider)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		<-stop
		time.AfterFunc(grace, server.Stop)
		server.GracefulStop()
	}()
	return server.Serve(listener)
}
