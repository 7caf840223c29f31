package happysock

/*
#cgo CFLAGS: -D_GNU_SOURCE
#include <happysock.h>
*/
import "C"

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func itoa(number int) string { return strconv.Itoa(number) }

// As package net maps them: os.ErrDeadlineExceeded is a time-out, a cancelled context "operation was canceled".
func contextError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &Error{Err: os.ErrDeadlineExceeded}
	}
	return &Error{Err: err}
}

// resultError is what package net would have said.
func resultError(ctx context.Context, result *C.happy_result, room []C.happy_attempt, address string) *Error {
	failed := &Error{}
	if result.source != nil {
		failed.Source = C.GoString(result.source)
	}
	for index := 0; index < len(room) && index < int(result.attempts_count); index++ {
		failed.Attempts = append(failed.Attempts, attemptOf(&room[index]))
	}
	host, _, _ := net.SplitHostPort(address)
	switch {
	case result.status == C.HAPPY_ETIMEOUT:
		failed.Err = os.ErrDeadlineExceeded
	case result.status == C.HAPPY_ECANCELLED:
		failed.Err = context.Canceled
		if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
			failed.Err = os.ErrDeadlineExceeded
		} else if err != nil {
			failed.Err = err
		}
	case result.gai_error == C.EAI_SERVICE:
		failed.Err = &net.AddrError{Err: "unknown port", Addr: address}
	case result.gai_error != 0:
		text := C.GoString(C.gai_strerror(result.gai_error))
		failed.Err = &net.DNSError{
			Err:         text,
			Name:        host,
			IsNotFound:  result.gai_error == C.EAI_NONAME || result.gai_error == C.EAI_NODATA,
			IsTemporary: result.gai_error == C.EAI_AGAIN,
		}
	case result.status == C.HAPPY_EINVALID:
		failed.Err = &net.AddrError{Err: message(result), Addr: address}
	case result.sys_errno != 0:
		failed.Err = syscallError(result.syscall, result.sys_errno)
	default:
		failed.Err = errors.New(message(result))
	}
	return failed
}

func message(result *C.happy_result) string {
	var buffer [512]C.char
	C.happy_result_message(result, &buffer[0], 512)
	return C.GoString(&buffer[0])
}

// "connect(2)" is "connect" to Go.
func syscallError(call *C.char, sysErrno C.int32_t) error {
	name := "connect"
	if call != nil {
		name, _, _ = strings.Cut(C.GoString(call), "(")
	}
	return os.NewSyscallError(name, syscall.Errno(sysErrno))
}

func attemptOf(attempt *C.happy_attempt) Attempt {
	seen := Attempt{
		Outcome: C.GoString(C.happy_outcome_str(C.int(attempt.outcome))),
		Started: time.Duration(attempt.started_ns),
		Ended:   time.Duration(attempt.ended_ns),
	}
	switch attempt.family {
	case C.AF_INET:
		raw := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&attempt.address))
		seen.Addr = &net.TCPAddr{IP: net.IP(append([]byte(nil), raw.Addr[:]...)), Port: networkOrder(raw.Port)}
	case C.AF_INET6:
		raw := (*syscall.RawSockaddrInet6)(unsafe.Pointer(&attempt.address))
		seen.Addr = &net.TCPAddr{IP: net.IP(append([]byte(nil), raw.Addr[:]...)), Port: networkOrder(raw.Port)}
		if raw.Scope_id != 0 {
			seen.Addr.Zone = strconv.Itoa(int(raw.Scope_id))
			if link, err := net.InterfaceByIndex(int(raw.Scope_id)); err == nil {
				seen.Addr.Zone = link.Name
			}
		}
	}
	if attempt.sys_errno != 0 {
		seen.Err = syscallError(attempt.syscall, attempt.sys_errno)
	}
	return seen
}
