package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	pb "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Between two dials, as measured.
const (
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

var defaults = properties{"user": "root", "port": 22., "dialErrorLimit": 10., "perDialTimeout": 15.}

// connected are the inputs with the connection's defaults filled in, and the whole of it a secret.
func connected(inputs properties) (properties, []*pb.CheckFailure) {
	given := inputs["connection"]
	if given == nil {
		return inputs, []*pb.CheckFailure{missing("connection")}
	}
	bare, known := bared(given).(properties)
	if !known {
		return inputs, nil // not yet
	}
	var failures []*pb.CheckFailure
	if bare["host"] == nil {
		failures = append(failures, missing("connection.host"))
	}
	bare = with(defaults, bare)
	if proxy, ok := bared(bare["proxy"]).(properties); ok {
		bare["proxy"] = with(defaults, proxy)
	}
	return with(inputs, properties{"connection": secret(bare)}), failures
}

// bared is what is in a secret; what is in that stays as it is.
func bared(value any) any {
	if isSecret(value) {
		return bared(value.(properties)["value"])
	}
	return value
}

func missing(property string) *pb.CheckFailure {
	return &pb.CheckFailure{Property: property, Reason: "missing required property"}
}

// connection is one end to log in to; its names are the inputs'.
type connection struct {
	Host               string
	Port               int
	User               string
	Password           string
	PrivateKey         string
	PrivateKeyPassword string
	AgentSocketPath    string
	HostKey            string
	DialErrorLimit     int
	PerDialTimeout     int // seconds; 0: none
	Proxy              *connection
}

// login is an SSH connection, and all that ends with it.
type login struct {
	*ssh.Client
	closers []io.Closer
}

// Close ends it, the last that was opened first.
func (l *login) Close() error {
	var errs []error
	for _, closer := range slices.Backward(l.closers) {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

// connect logs in where the plain inputs say, through the proxy if there is one.
func connect(task *task, inputs properties) (*login, error) {
	var to connection
	encoded, err := json.Marshal(inputs["connection"])
	if err == nil {
		err = json.Unmarshal(encoded, &to)
	}
	if err != nil {
		return nil, fmt.Errorf("a connection that cannot be read: %w", err)
	}
	made := &login{}
	if to.Proxy == nil {
		err = made.dial(task, "Dial", to)
	} else if err = made.dial(task, "Dial proxy", *to.Proxy); err == nil {
		err = made.dial(task, "Dial", to)
	}
	if err == nil {
		return made, nil
	}
	_ = made.Close()
	if to.Proxy != nil {
		return nil, fmt.Errorf("proxy: %w", err) // whichever end it was
	}
	return nil, err
}

// dial logs in to one end, by way of the client before if there is one, with much patience.
func (l *login) dial(task *task, what string, to connection) error {
	config, err := l.config(to)
	if err != nil {
		return err
	}
	address := net.JoinHostPort(to.Host, strconv.Itoa(to.Port))
	way := l.Client
	return patiently(task, what, to.DialErrorLimit, func() error {
		var client *ssh.Client
		var err error
		if way == nil {
			client, err = ssh.Dial("tcp", address, config)
		} else {
			client, err = through(way, address, config)
		}
		if err != nil {
			return err
		}
		l.Client = client
		l.closers = append(l.closers, client)
		return nil
	})
}

// through logs in from another host.
func through(way *ssh.Client, address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	ctx, cancel := context.Background(), func() {}
	if config.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, config.Timeout)
	}
	defer cancel()
	over, err := way.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	connection, channels, requests, err := ssh.NewClientConn(over, address, config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(connection, channels, requests), nil
}

// patiently tries again after any failure, a refused key and a wrong host key included.
//
// limit N is N + 1 attempts, -1 is no limit.
func patiently(task *task, what string, limit int, dial func() error) error {
	of := strconv.Itoa(limit)
	if limit == -1 {
		of = "inf"
	}
	for failed, wait := 0, firstWait; ; wait = min(wait*3/2, longestWait) {
		err := dial()
		if err == nil {
			return nil
		}
		if -1 < limit && limit <= failed {
			return fmt.Errorf("after %d failed attempts: %w", failed, err)
		}
		failed++
		task.say(fmt.Sprintf("%s %d/%s failed: retrying", what, failed, of))
		select {
		case <-time.After(wait):
		case <-task.ctx.Done(): // nobody waits for an answer
			return task.ctx.Err()
		}
	}
}

// config is how to log in. Without a hostKey no host is verified; the vendor's does the same.
func (l *login) config(to connection) (*ssh.ClientConfig, error) {
	config := &ssh.ClientConfig{
		User:            to.User,
		HostKeyCallback: ssh.InsecureIgnoreHostKey(),
		Timeout:         time.Duration(to.PerDialTimeout) * time.Second,
	}
	if to.HostKey != "" {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(to.HostKey))
		if err != nil {
			return nil, fmt.Errorf("failed to parse host key: %w", err)
		}
		config.HostKeyCallback = ssh.FixedHostKey(key)
		config.HostKeyAlgorithms = []string{key.Type()}
	}
	if to.PrivateKey != "" {
		key, err := privateKey(to.PrivateKey, to.PrivateKeyPassword)
		if err != nil {
			return nil, err
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(key))
	}
	if to.Password != "" {
		config.Auth = append(config.Auth, ssh.Password(to.Password), answering(to.Password))
	}
	// an agent that does not answer ends it at once, also where nobody would need it; as the vendor's
	if path := agentPath(to); path != "" {
		socket, err := net.Dial("unix", path)
		if err != nil {
			return nil, err
		}
		l.closers = append(l.closers, socket)
		config.Auth = append(config.Auth, ssh.PublicKeysCallback(agent.NewClient(socket).Signers))
	}
	return config, nil
}

// answering gives the password to a server that asks for it as a question.
func answering(password string) ssh.AuthMethod {
	return ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		return slices.Repeat([]string{password}, len(questions)), nil
	})
}

func privateKey(text, password string) (ssh.Signer, error) {
	if password != "" {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(text), []byte(password))
	}
	return ssh.ParsePrivateKey([]byte(text))
}

func agentPath(to connection) string {
	if to.AgentSocketPath != "" {
		return to.AgentSocketPath
	}
	return os.Getenv("SSH_AUTH_SOCK")
}
