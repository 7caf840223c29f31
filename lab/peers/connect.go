// Connects to HOST PORT by net.Dial and prints the milliseconds it took.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	start := time.Now()
	connection, err := net.Dial("tcp", net.JoinHostPort(os.Args[1], os.Args[2]))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(float64(time.Since(start).Nanoseconds()) / 1e6)
	connection.Close()
}
