package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

func shellNames() []string { return []string{"bash", "zsh", "fish"} }

// runCompletion prints what a shell needs to complete a command line.
func runCompletion(inv invocation) int {
	rest, code, ok := parseCommand(inv, "completion", nil, 1, 1)
	if !ok {
		return code
	}
	switch rest[0] {
	case "bash":
		writeBash(inv.stdout, described())
	case "zsh":
		writeZsh(inv.stdout, described())
	case "fish":
		writeFish(inv.stdout, described())
	default:
		return usageError(inv, "completion", fmt.Errorf("there are no completions for %q: %s", rest[0], strings.Join(shellNames(), ", ")))
	}
	return exitOK
}

// flags are a command's flags with their dashes.
func (c *describedCommand) flags() []string {
	flags := []string{"--help"}
	for i := range c.settings {
		flags = append(flags, "--"+c.settings[i].name)
	}
	return flags
}

// writeBash writes one function: the command's words, then its flags; behind a flag
// its words, files, or nothing where any text will do.
func writeBash(w io.Writer, all []describedCommand) {
	fmt.Fprint(w, `# Completion of smache for bash; printed by smache completion bash.
_smache() {
  local cur prev command words
  cur=${COMP_WORDS[COMP_CWORD]}
  prev=${COMP_WORDS[COMP_CWORD-1]}
  command=${COMP_WORDS[1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
`)
	var names []string
	for i := range all {
		names = append(names, all[i].name)
	}
	fmt.Fprintf(w, "    mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\")\n    return\n  fi\n  case $command:$prev in\n", strings.Join(names, " "))
	var others []string
	for i := range all {
		c := &all[i]
		for j := range c.settings {
			s := &c.settings[j]
			name := c.name + ":--" + s.name
			switch {
			case s.isSwitch():
			case s.takesFile():
				fmt.Fprintf(w, "    %s) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n", name)
			case len(s.choices()) > 0:
				fmt.Fprintf(w, "    %s) mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$cur\"); return ;;\n", name, strings.Join(s.choices(), " "))
			default:
				others = append(others, name)
			}
		}
	}
	fmt.Fprintf(w, "    %s) return ;;\n", strings.Join(others, "|"))
	fmt.Fprint(w, "  esac\n  case $command in\n")
	for i := range all {
		c := &all[i]
		fmt.Fprintf(w, "    %s) words='%s' ;;\n", c.name, strings.Join(slices.Concat(c.choices(), c.flags()), " "))
	}
	fmt.Fprint(w, `    *) return ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _smache smache
`)
}

// writeZsh writes the tables for _arguments.
func writeZsh(w io.Writer, all []describedCommand) {
	fmt.Fprint(w, `#compdef smache
# Completion of smache for zsh; printed by smache completion zsh.
_smache() {
  local -a commands
  commands=(
`)
	for i := range all {
		fmt.Fprintf(w, "    %s\n", quoteZsh(all[i].name+":"+all[i].about))
	}
	fmt.Fprint(w, `  )
  if ((CURRENT == 2)); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
`)
	for i := range all {
		c := &all[i]
		fmt.Fprintf(w, "    %s) _arguments %s", c.name, quoteZsh("--help[explain the command]"))
		for j := range c.settings {
			s := &c.settings[j]
			spec := "--" + s.name + "[" + strings.NewReplacer("[", "(", "]", ")", ":", ",").Replace(plain(s.about)) + "]"
			switch {
			case s.isSwitch():
			case s.takesFile():
				spec += ":file:_files"
			case len(s.choices()) > 0:
				spec += ":" + s.unit + ":(" + strings.Join(s.choices(), " ") + ")"
			default:
				spec += ":" + s.unit + ": "
			}
			fmt.Fprintf(w, " \\\n      %s", quoteZsh(spec))
		}
		if words := c.choices(); len(words) > 0 {
			fmt.Fprintf(w, " \\\n      %s", quoteZsh("1:argument:("+strings.Join(words, " ")+")"))
		}
		fmt.Fprintln(w, " ;;")
	}
	// Found in $fpath, the file is the function's first call; else it was sourced.
	fmt.Fprint(w, `  esac
}
if [[ $funcstack[1] == _smache ]]; then _smache "$@"; else compdef _smache smache; fi
`)
}

// writeFish writes one line for each command and flag.
func writeFish(w io.Writer, all []describedCommand) {
	fmt.Fprint(w, "# Completion of smache for fish; printed by smache completion fish.\ncomplete -c smache -f\n")
	for i := range all {
		c := &all[i]
		fmt.Fprintf(w, "complete -c smache -n __fish_use_subcommand -a %s -d %s\n", c.name, quoteFish(c.about))
		in := fmt.Sprintf("-n '__fish_seen_subcommand_from %s'", c.name)
		if words := c.choices(); len(words) > 0 {
			fmt.Fprintf(w, "complete -c smache %s -a %s\n", in, quoteFish(strings.Join(words, " ")))
		}
		for j := range c.settings {
			s := &c.settings[j]
			takes := " -x"
			switch {
			case s.isSwitch():
				takes = ""
			case s.takesFile():
				takes = " -rF"
			case len(s.choices()) > 0:
				takes = " -x -a " + quoteFish(strings.Join(s.choices(), " "))
			}
			fmt.Fprintf(w, "complete -c smache %s -l %s%s -d %s\n", in, s.name, takes, quoteFish(plain(s.about)))
		}
	}
}

// plain is a description without its marks.
func plain(about string) string { return strings.ReplaceAll(about, "`", "") }

func quoteZsh(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

func quoteFish(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}
