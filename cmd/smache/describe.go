package main

import "io"

// tableOf gives the settings of a subcommand, as it would parse them, without
// running it. The manual page and the completions are made of these tables, so that
// they say what the program does.
func tableOf(c command) (table []setting) {
	c.run(invocation{
		stdout: io.Discard, stderr: io.Discard,
		describe: func(settings []setting) { table = settings },
	})
	return table
}

// described are the subcommands with their tables, in the order of the help text.
func described() []describedCommand {
	var all []describedCommand
	for _, c := range commands() {
		all = append(all, describedCommand{c, tableOf(c)})
	}
	return all
}

type describedCommand struct {
	command
	settings []setting
}

// choices are the words that the command, or a setting of it, takes, for completion;
// none if it takes any text.
func (c *describedCommand) choices() []string {
	switch c.name {
	case "bench":
		return benchScenarioNames()
	case "completion":
		return shellNames()
	case "help":
		var names []string
		for _, other := range commands() {
			names = append(names, other.name)
		}
		return names
	}
	return nil
}

func (s *setting) choices() []string {
	if choice, ok := s.value.(*choiceValue); ok {
		return choice.words
	}
	return nil
}

// takesFile says that the setting's value is the name of a file.
func (s *setting) takesFile() bool { return s.unit == "FILE" }
