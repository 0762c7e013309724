// gVisor's netstack is the inner side of an interface: Debian's golang-gvisor-gvisor-dev with a link endpoint that receives
// and sends by liblinegate, super-packets both ways, and behind it the HTTP server of Go's own library.
//
//	netstack INTERFACE IPV4 IPV6 FILE [plain]   prints "up" for each ring it opens, and counts when it gets SIGTERM
//
// GET / is one line of text, GET /file is FILE; the answer to PUT is the number of its bytes and their Adler-32. UDP port 7
// echoes. With "plain" there are packets alone. It comes back by itself after a restart of the gateway, and so do its TCP
// connections.
package main

/*
#cgo LDFLAGS: -llinegate
#include <linegate.h>
#include <poll.h>
#include <stdlib.h>
static void wait_for_packets(lg_ring* ring) {
	struct pollfd wait = {lg_ring_wait_fd(ring), POLLIN, 0};
	(void)poll(&wait, 1, -1);
}
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"gvisor.dev/gvisor/pkg/bufferv2"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const (
	nic          = 1
	offloadBytes = C.sizeof_lg_offload
)

// ------------------------------------------------------------------ the card

type card struct {
	plain      bool
	dispatcher stack.NetworkDispatcher
	mutex      sync.RWMutex
	ring       *C.lg_ring // nil: the gateway is away

	superIn, superOut atomic.Uint64
}

func (*card) MTU() uint32                                  { return 1420 }
func (*card) MaxHeaderLength() uint16                      { return 0 }
func (*card) LinkAddress() tcpip.LinkAddress               { return "" }
func (c *card) Attach(to stack.NetworkDispatcher)          { c.dispatcher = to }
func (c *card) IsAttached() bool                           { return c.dispatcher != nil }
func (*card) Wait()                                        {}
func (*card) ARPHardwareType() header.ARPHardwareType      { return header.ARPHardwareNone }
func (*card) AddHeader(stack.PacketBufferPtr)              {}
func (*card) Capabilities() stack.LinkEndpointCapabilities { return 0 }
func (*card) GSOMaxSize() uint32                           { return 60000 }
func (c *card) SupportedGSO() stack.SupportedGSO {
	if c.plain {
		return stack.GSONotSupported
	}
	return stack.HostGSOSupported
}

// What gVisor says of a packet of TCP, as an lg_offload.
func (c *card) offloadOf(packet stack.PacketBufferPtr) (offload C.lg_offload) {
	gso := packet.GSOOptions
	if gso.Type == stack.GSONone {
		return
	}
	if gso.NeedsCsum {
		offload.flags = C.LG_OFFLOAD_CHECKSUM
		offload.checksum_start = C.uint16_t(gso.L3HdrLen)
		offload.checksum_offset = C.uint16_t(gso.CsumOffset)
	}
	if packet.Data().Size() > int(gso.MSS) {
		offload.kind = C.LG_OFFLOAD_TCP4
		if gso.Type == stack.GSOTCPv6 {
			offload.kind = C.LG_OFFLOAD_TCP6
		}
		offload.header_bytes = C.uint16_t(packet.HeaderSize())
		offload.segment_bytes = C.uint16_t(gso.MSS)
		c.superOut.Add(1)
	}
	return
}

func (c *card) front() int {
	if c.plain {
		return 0
	}
	return offloadBytes
}

func (c *card) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	if c.ring == nil {
		return packets.Len(), nil // lost, as on a wire
	}
	for i, packet := range packets.AsSlice() {
		bytes := c.front() + packet.Size()
		place := C.lg_ring_alloc_send(c.ring, C.uint32_t(bytes), nil)
		if place == nil {
			return i, &tcpip.ErrNoBufferSpace{}
		}
		to := unsafe.Slice((*byte)(place), bytes)
		if !c.plain {
			*(*C.lg_offload)(place) = c.offloadOf(packet)
		}
		to = to[c.front():]
		for _, part := range packet.AsSlices() {
			to = to[copy(to, part):]
		}
		C.lg_ring_send(c.ring, place)
	}
	return packets.Len(), nil
}

// A super-packet comes with an open checksum, which gVisor would check like any other.
func (c *card) close(offload C.lg_offload, packet []byte) {
	start, at := int(offload.checksum_start), int(offload.checksum_start+offload.checksum_offset)
	binary.BigEndian.PutUint16(packet[at:], ^checksum.Checksum(packet[start:], 0))
}

func (c *card) deliver(packet []byte) {
	if !c.plain {
		offload := *(*C.lg_offload)(unsafe.Pointer(&packet[0]))
		packet = packet[offloadBytes:]
		if offload.flags&C.LG_OFFLOAD_CHECKSUM != 0 {
			c.close(offload, packet)
		}
		if offload.kind != C.LG_OFFLOAD_NONE {
			c.superIn.Add(1)
		}
	}
	protocol := header.IPv4ProtocolNumber
	if packet[0]>>4 == 6 {
		protocol = header.IPv6ProtocolNumber
	}
	buffer := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: bufferv2.MakeWithData(packet)})
	c.dispatcher.DeliverNetworkPacket(protocol, buffer)
	buffer.DecRef()
}

// Returns when the gateway has given the ring up.
func (c *card) serve(ring *C.lg_ring) {
	for {
		var bytes C.uint32_t
		var error C.lg_error
		packet := C.lg_ring_receive(ring, &bytes, &error)
		switch {
		case packet != nil:
			c.deliver(unsafe.Slice((*byte)(packet), int(bytes)))
			C.lg_ring_release(ring, packet)
		case error == C.LG_EMPTY:
			C.wait_for_packets(ring)
		default:
			return
		}
	}
}

func (c *card) setRing(ring *C.lg_ring) {
	c.mutex.Lock()
	c.ring = ring
	c.mutex.Unlock()
}

func (c *card) run(name string, sources []C.lg_allowed_ip) C.lg_error {
	text := C.CString(name)
	defer C.free(unsafe.Pointer(text))
	var adapter *C.lg_adapter
	if error := C.lg_adapter_open(text, &adapter); error != C.LG_OK {
		return error
	}
	defer C.lg_adapter_close(adapter)
	var flags C.uint32_t = C.LG_RING_OFFLOADS
	if c.plain {
		flags = 0
	}
	var ring *C.lg_ring
	if error := C.lg_ring_open(adapter, 0, flags, &sources[0], C.uint32_t(len(sources)), &ring); error != C.LG_OK {
		return error
	}
	defer C.lg_ring_close(ring)
	c.setRing(ring)
	defer c.setRing(nil)
	fmt.Println("up")
	c.serve(ring)
	return C.LG_GONE
}

func source(address net.IP) (to C.lg_allowed_ip) {
	to.size = C.sizeof_lg_allowed_ip
	to.family, to.cidr = 6, 128
	if address.To4() != nil {
		address, to.family, to.cidr = address.To4(), 4, 32
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&to.address)), 16), address)
	return
}

// ------------------------------------------------------------------ the stack, and who uses it

func check(error interface{}, what string) {
	if error != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, error)
		os.Exit(1)
	}
}

func must(error tcpip.Error, what string) {
	if error != nil {
		check(error, what)
	}
}

func addressOf(address net.IP) tcpip.ProtocolAddress {
	protocol := header.IPv6ProtocolNumber
	if address.To4() != nil {
		address, protocol = address.To4(), header.IPv4ProtocolNumber
	}
	return tcpip.ProtocolAddress{Protocol: protocol, AddressWithPrefix: tcpip.Address(address).WithPrefix()}
}

func newStack(link stack.LinkEndpoint, addresses []net.IP) *stack.Stack {
	made := stack.New(stack.Options{
		NetworkProtocols: []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{
			tcp.NewProtocol, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
	})
	must(made.CreateNIC(nic, link), "the card")
	for _, address := range addresses {
		must(made.AddProtocolAddress(nic, addressOf(address), stack.AddressProperties{}), "the address")
	}
	made.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	return made
}

func handler(file string) http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("/file", func(to http.ResponseWriter, of *http.Request) { http.ServeFile(to, of, file) })
	pages.HandleFunc("/", func(to http.ResponseWriter, of *http.Request) {
		switch {
		case of.Method == http.MethodPut:
			sum := adler32.New()
			bytes, _ := io.Copy(sum, of.Body)
			fmt.Fprintln(to, bytes, sum.Sum32())
		case of.URL.Path != "/":
			http.NotFound(to, of)
		default:
			fmt.Fprintln(to, "gVisor's netstack", runtime.Version(), "behind a ring")
		}
	})
	return pages
}

func serveHTTP(on *stack.Stack, at tcpip.ProtocolAddress, pages http.Handler) {
	listener, error := gonet.ListenTCP(on, tcpip.FullAddress{NIC: nic, Addr: at.AddressWithPrefix.Address, Port: 80}, at.Protocol)
	check(error, "listen")
	go http.Serve(listener, pages)
}

func serveEcho(on *stack.Stack, at tcpip.ProtocolAddress) {
	port, error := gonet.DialUDP(on, &tcpip.FullAddress{NIC: nic, Addr: at.AddressWithPrefix.Address, Port: 7}, nil, at.Protocol)
	check(error, "UDP")
	data := make([]byte, 65536)
	for {
		n, from, error := port.ReadFrom(data)
		check(error, "UDP")
		port.WriteTo(data[:n], from)
	}
}

func main() {
	if len(os.Args) < 5 {
		fmt.Fprintln(os.Stderr, "usage: netstack INTERFACE IPV4 IPV6 FILE [plain]")
		os.Exit(2)
	}
	addresses := []net.IP{net.ParseIP(os.Args[2]), net.ParseIP(os.Args[3])}
	sources := []C.lg_allowed_ip{source(addresses[0]), source(addresses[1])}
	link := &card{plain: len(os.Args) > 5 && os.Args[5] == "plain"}
	on := newStack(link, addresses)
	pages := handler(os.Args[4])
	for _, address := range addresses {
		serveHTTP(on, addressOf(address), pages)
		go serveEcho(on, addressOf(address))
	}
	go func() {
		for {
			if error := link.run(os.Args[1], sources); error == C.LG_INVALID {
				check(C.GoString(C.lg_error_name(error)), os.Args[1])
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	<-end
	fmt.Println("super-packets in", link.superIn.Load(), "out", link.superOut.Load())
}
