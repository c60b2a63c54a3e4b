package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	pb "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"golang.org/x/crypto/ssh"
)

// command is what remote and local commands have in common.
//
// Changed triggers replace it; any other changed input runs `update`, or else `create`.
type command struct {
	accept func(properties) (properties, []*pb.CheckFailure)
	run    func(*task, *invocation) error
}

// invocation is one run of a command; inputs are plain.
type invocation struct {
	command     string
	inputs      properties
	environment []variable
	output      *output
}

// ended is nil, or how the command ended with its text and output.
func (i *invocation) ended(err error) error {
	i.output.end()
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: running %q:\n%s", err, i.command, i.output.both())
}

// variable of the environment; a required one that the server refuses fails the command.
type variable struct {
	name, value string
	required    bool
}

func (c command) check(inputs properties) (properties, []*pb.CheckFailure) {
	return c.accept(inputs)
}

func (c command) planned(inputs, _ properties) properties {
	return with(inputs, properties{"stdout": unknown, "stderr": unknown})
}

func (c command) create(task *task, inputs properties) (string, properties, error) {
	state, err := c.ran(task, inputs["create"], inputs, properties{})
	return task.name() + newID(), state, err
}

func (c command) update(task *task, inputs, state properties) (properties, error) {
	line := inputs["update"]
	if line == nil {
		line = inputs["create"]
	}
	return c.ran(task, line, inputs, state)
}

func (c command) delete(task *task, state properties) error {
	_, err := c.ran(task, state["delete"], state, state)
	return err
}

// ran is the state after running the line, if there is one.
func (c command) ran(task *task, line any, inputs, before properties) (properties, error) {
	bare, before := plainly(inputs), plainly(before)
	stdout, stderr := text(before, "stdout"), text(before, "stderr")
	if line, given := plain(line).(string); given {
		output := newOutput(task, text(bare, "logging"))
		run := &invocation{line, bare, environment(bare, stdout, stderr), output}
		if err := c.run(task, run); err != nil {
			return nil, err
		}
		stdout, stderr = output.stdout.kept(), output.stderr.kept()
	}
	return with(inputs, properties{"stdout": stdout, "stderr": stderr}), nil
}

// environment is what the user gives, by name, then what the command said before.
func environment(inputs properties, stdout, stderr string) []variable {
	var variables []variable
	given, _ := inputs["environment"].(properties)
	for name, value := range given {
		variables = append(variables, variable{name, fmt.Sprint(value), true})
	}
	slices.SortFunc(variables, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	if wanted, told := inputs["addPreviousOutputInEnv"].(bool); told && !wanted {
		return variables
	}
	if stdout != "" {
		variables = append(variables, variable{"PULUMI_COMMAND_STDOUT", stdout, false})
	}
	if stderr != "" {
		variables = append(variables, variable{"PULUMI_COMMAND_STDERR", stderr, false})
	}
	return variables
}

// remotely runs it on a host, over an SSH connection of its own.
func remotely(task *task, run *invocation) error {
	client, err := connect(task, run.inputs)
	if err != nil {
		return err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return err
	}
	defer session.Close()
	if err := setEnvironment(task, session, run.environment); err != nil {
		return err
	}
	session.Stdout, session.Stderr = run.output.stdout, run.output.stderr
	stdin, err := session.StdinPipe()
	if err != nil {
		return err
	}
	if err := session.Start(run.command); err != nil {
		return run.ended(err)
	}
	go func() { // not by the session itself, for which a command that reads only some of it has failed
		_, _ = io.WriteString(stdin, text(run.inputs, "stdin"))
		_ = stdin.Close()
	}()
	return run.ended(session.Wait())
}

// setEnvironment asks for one variable after the other; sshd refuses all that AcceptEnv does not name.
func setEnvironment(task *task, session *ssh.Session, variables []variable) error {
	for _, variable := range variables {
		err := session.Setenv(variable.name, variable.value)
		if err == nil {
			continue
		}
		severity := pb.LogSeverity_WARNING
		if variable.required {
			severity = pb.LogSeverity_ERROR
		}
		task.log(severity, fmt.Sprintf("Unable to set '%s'. This only works if your SSH server is configured "+
			"to accept these variables via AcceptEnv.", variable.name), false)
		if variable.required {
			return fmt.Errorf("could not set environment variable %q: %w", variable.name, err)
		}
	}
	return nil
}

// local refuses what of the vendor's is not here.
func local(inputs properties) (properties, []*pb.CheckFailure) {
	var failures []*pb.CheckFailure
	for _, name := range []string{"archivePaths", "assetPaths"} {
		if inputs[name] != nil {
			failures = append(failures, &pb.CheckFailure{
				Property: name, Reason: "not in this stand-in for the command provider",
			})
		}
	}
	return inputs, failures
}

// locally runs it on the machine that runs the engine.
func locally(_ *task, run *invocation) error {
	words := []string{"/bin/sh", "-c"}
	if given, _ := run.inputs["interpreter"].([]any); len(given) > 0 {
		words = nil
		for _, word := range given {
			words = append(words, fmt.Sprint(word))
		}
	}
	words = append(words, run.command)
	process := exec.Command(words[0], words[1:]...)
	process.Dir = text(run.inputs, "dir")
	process.Stdin = strings.NewReader(text(run.inputs, "stdin"))
	process.Stdout, process.Stderr = run.output.stdout, run.output.stderr
	process.Env = os.Environ()
	for _, variable := range run.environment {
		process.Env = append(process.Env, variable.name+"="+variable.value)
	}
	return run.ended(process.Run())
}

// newID is part of a resource's id: eight random digits.
func newID() string {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}
