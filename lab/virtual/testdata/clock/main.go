// Command clock is what the tests of package virtual run in virtual time.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/lab/virtual"
)

func main() {
	ctx, err := virtual.Begin()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(do(ctx, os.Args[1]))
}

func do(ctx context.Context, what string) int {
	switch what {
	case "sleep": // a year
		time.Sleep(365 * 24 * time.Hour)
		fmt.Println(time.Now().UTC().Format(time.DateTime))
	case "copy":
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			return 1
		}
	case "lines": // to both, and long ones
		w := bufio.NewWriter(os.Stderr)
		defer w.Flush()
		for i := range 1000 {
			fmt.Println(i, strings.Repeat("x", i*i%70_000))
			fmt.Fprintln(w, i, strings.Repeat("y", i*i%70_000))
		}
	case "signals":
		c := make(chan os.Signal, 1)
		signal.Notify(c, os.Interrupt)
		time.Sleep(time.Hour)
		signal.Stop(c)
		fmt.Println("slept")
	case "wait": // for its end
		fmt.Println("waiting")
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		fmt.Println("told to end")
		return 7
	case "deaf": // to its end
		fmt.Println("waiting")
		for {
			time.Sleep(time.Second)
		}
	case "spin":
		fmt.Println("spinning")
		for {
		}
	case "block": // in a system call
		r, _, err := os.Pipe()
		if err != nil {
			return 1
		}
		_, _ = os.NewFile(r.Fd(), "blocking").Read(make([]byte, 1))
	case "crash":
		fmt.Print("last words, no end of line")
		panic("on purpose")
	case "exit":
		return 42
	}
	return 0
}
