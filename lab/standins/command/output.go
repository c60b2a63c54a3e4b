package main

import (
	"bytes"
	"strings"
	"sync"
)

// output is what a command says: kept, and shown to the user line by line as it comes.
type output struct {
	task           *task
	mutex          sync.Mutex
	lines          strings.Builder // of both streams, in the order in which they came
	stdout, stderr *stream
}

// stream is one of the two; what is written to it is what the command said there.
type stream struct {
	output *output
	shown  bool
	all    strings.Builder
	begun  []byte // a line that has not ended
}

// newOutput has the streams shown that the input `logging` names; by default both.
func newOutput(task *task, logging string) *output {
	if logging == "" {
		logging = "stdoutAndStderr"
	}
	logging = strings.ToLower(logging)
	made := &output{task: task}
	made.stdout = &stream{output: made, shown: strings.Contains(logging, "stdout")}
	made.stderr = &stream{output: made, shown: strings.Contains(logging, "stderr")}
	return made
}

// Write takes what came; the two streams of a command write side by side.
func (s *stream) Write(data []byte) (int, error) {
	s.output.mutex.Lock()
	defer s.output.mutex.Unlock()
	s.all.Write(data)
	for line := range bytes.Lines(data) {
		s.begun = append(s.begun, line...)
		if bytes.HasSuffix(line, []byte("\n")) {
			s.line(s.begun)
			s.begun = s.begun[:0]
		}
	}
	return len(data), nil
}

// line takes one, with its newline if it has one.
func (s *stream) line(line []byte) {
	s.output.lines.Write(line)
	if s.shown {
		s.output.task.say(valid(strings.TrimSuffix(string(line), "\n")))
	}
}

// end takes last lines without a newline. Nobody writes any more.
func (o *output) end() {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	for _, stream := range []*stream{o.stdout, o.stderr} {
		if len(stream.begun) > 0 {
			stream.line(stream.begun)
			stream.begun = nil
		}
	}
}

// both is all that came.
func (o *output) both() string {
	return valid(o.lines.String())
}

// kept is what the state keeps: all of it, without the last newline.
func (s *stream) kept() string {
	return valid(strings.TrimSuffix(s.all.String(), "\n"))
}

// valid is the text with a mark where it is no UTF-8; the engine's protocol takes nothing else.
func valid(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}
