// Fetches a page: get http://HOST[:PORT]/PATH
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"happysock"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: get http://HOST[:PORT]/PATH")
		os.Exit(2)
	}
	dialer := &happysock.Dialer{Timeout: 10 * time.Second}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	response, err := client.Get(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		var failed *happysock.Error
		if errors.As(err, &failed) {
			for _, attempt := range failed.Attempts {
				fmt.Fprintf(os.Stderr, "  %v: %v %v\n", attempt.Addr, attempt.Outcome, attempt.Err)
			}
		}
		os.Exit(1)
	}
	defer response.Body.Close()
	io.Copy(os.Stdout, response.Body)
}
