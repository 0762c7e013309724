// The same in Go by cgo: an adapter that is up, as long as the program runs.
//
//	go build -o adapter adapter.go && ./adapter NAME
package main

/*
#cgo pkg-config: liblinegate
#include <linegate.h>
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"unsafe"
)

// lg_last_error() is of the calling thread, so the goroutine stays on it.
func check(result C.lg_error, what string) {
	if result == C.LG_OK {
		return
	}
	var text *C.char
	C.lg_last_error(&text)
	fmt.Fprintf(os.Stderr, "%s: %s: %s\n", what, C.GoString(C.lg_error_name(result)), C.GoString(text))
	os.Exit(1)
}

func main() {
	runtime.LockOSThread()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: adapter NAME")
		os.Exit(2)
	}
	name := C.CString(os.Args[1])
	defer C.free(unsafe.Pointer(name))
	var adapter *C.lg_adapter
	check(C.lg_adapter_create(name, nil, nil, 0, &adapter), "create")
	defer C.lg_adapter_close(adapter)
	check(C.lg_adapter_set_state(adapter, C.LG_UP), "up")
	var ifindex C.uint32_t
	check(C.lg_adapter_luid(adapter, &ifindex, nil), "ifindex")
	fmt.Println("ifindex", ifindex)
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt)
	<-end
}
