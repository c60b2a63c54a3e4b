package main

// Hosts that do not exist: every command has ended well, at once, and every copy is made. For measuring
// what the engine and the program do for many hosts; nothing is run and nobody reached.

// said is what a release says.
const said = "worker-1: release 549114064c60 is good: worker=2\n"

// quietly runs nothing and says that much.
func quietly(stdout string) func(*task, *invocation) error {
	return func(_ *task, run *invocation) error {
		run.output.stdout.all.WriteString(stdout)
		return nil
	}
}

// nowhere copies nothing.
func nowhere(*task, properties) error {
	return nil
}
