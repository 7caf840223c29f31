package happysock

/*
#include <happysock.h>
#include <netinet/in.h>
#include <stdlib.h>
*/
import "C"

import (
	"net"
	"strconv"
	"syscall"
	"unsafe"
)

// What is handed to C lives until free, in memory of C's: a struct of C may point to it.
type cMemory []unsafe.Pointer

// text is a string that ends in a zero byte.
func (m *cMemory) text(text string) *C.char {
	copied := C.CString(text)
	*m = append(*m, unsafe.Pointer(copied))
	return copied
}

// zeroed is room for one struct or several.
func (m *cMemory) zeroed(count int, size C.size_t) unsafe.Pointer {
	room := C.calloc(C.size_t(count), size)
	*m = append(*m, room)
	return room
}

func (m *cMemory) free() {
	for _, pointer := range *m {
		C.free(pointer)
	}
}

// sockaddr is an address of a family as C has it.
func (m *cMemory) sockaddr(addr *net.TCPAddr, family C.sa_family_t) (unsafe.Pointer, error) {
	if addr == nil || familyOf(addr) != family || addr.Port < 0 || addr.Port > 65535 {
		return nil, &net.AddrError{Err: "no address and port of the family", Addr: addr.String()}
	}
	if family == C.AF_INET {
		room := (*syscall.RawSockaddrInet4)(m.zeroed(1, C.sizeof_struct_sockaddr_in))
		room.Family, room.Port = C.AF_INET, toNetworkOrder(addr.Port)
		copy(room.Addr[:], addr.IP.To4())
		return unsafe.Pointer(room), nil
	}
	room := (*syscall.RawSockaddrInet6)(m.zeroed(1, C.sizeof_struct_sockaddr_in6))
	room.Family, room.Port = C.AF_INET6, toNetworkOrder(addr.Port)
	copy(room.Addr[:], addr.IP.To16())
	if addr.Zone != "" {
		if link, err := net.InterfaceByName(addr.Zone); err == nil {
			room.Scope_id = uint32(link.Index)
		} else if number, err := strconv.ParseUint(addr.Zone, 10, 32); err == nil {
			room.Scope_id = uint32(number)
		} else {
			return nil, &net.AddrError{Err: "unknown IPv6 zone", Addr: addr.String()}
		}
	}
	return unsafe.Pointer(room), nil
}

// addressList is a list as getaddrinfo(3) gives it.
func (m *cMemory) addressList(addrs []*net.TCPAddr) (*C.struct_addrinfo, error) {
	nodes := unsafe.Slice((*C.struct_addrinfo)(m.zeroed(len(addrs), C.sizeof_struct_addrinfo)), len(addrs))
	for index, addr := range addrs {
		family := familyOf(addr)
		sockaddr, err := m.sockaddr(addr, family)
		if err != nil {
			return nil, err
		}
		node := &nodes[index]
		node.ai_family, node.ai_addr, node.ai_addrlen = C.int(family), (*C.struct_sockaddr)(sockaddr), C.sizeof_struct_sockaddr_in
		if family == C.AF_INET6 {
			node.ai_addrlen = C.sizeof_struct_sockaddr_in6
		}
		if index > 0 {
			nodes[index-1].ai_next = node
		}
	}
	return &nodes[0], nil
}

// familyOf is AF_INET, AF_INET6, or AF_UNSPEC for what is no address.
func familyOf(addr *net.TCPAddr) C.sa_family_t {
	switch {
	case addr == nil:
		return C.AF_UNSPEC
	case addr.IP.To4() != nil:
		return C.AF_INET
	case addr.IP.To16() != nil:
		return C.AF_INET6
	}
	return C.AF_UNSPEC
}

func toNetworkOrder(port int) uint16 {
	bytes := [2]byte{byte(port >> 8), byte(port)}
	return *(*uint16)(unsafe.Pointer(&bytes))
}

func networkOrder(port uint16) int {
	bytes := (*[2]byte)(unsafe.Pointer(&port))
	return int(bytes[0])<<8 | int(bytes[1])
}
