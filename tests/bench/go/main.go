// SPDX-License-Identifier: BSL-1.0

// Command go measures a server made of a goroutine and a channel of functions.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const capacity = 4096

// server runs functions of its state, one after the other.
type server[S any] struct {
	work  chan func(*S)
	ended chan struct{}
}

func start[S any](state S) *server[S] {
	s := &server[S]{make(chan func(*S), capacity), make(chan struct{})}
	go func() {
		for work := range s.work {
			work(&state)
		}
		close(s.ended)
	}()
	return s
}

func (s *server[S]) cast(work func(*S)) { s.work <- work }

func (s *server[S]) stop() {
	close(s.work)
	<-s.ended
}

// The channels on which callers wait are used again, as is usual where calls are frequent.
var replies = sync.Pool{New: func() any { return make(chan uint64, 1) }}

func call[S any](s *server[S], work func(*S) uint64) uint64 {
	reply := replies.Get().(chan uint64)
	s.work <- func(state *S) { reply <- work(state) }
	result := <-reply
	replies.Put(reply)
	return result
}

func increment(n *uint64) uint64 { *n++; return *n }
func addOne(n *uint64)           { *n++ }
func value(n *uint64) uint64     { return *n }

// run is what a measure is given: how long it may take, and where its numbers go.
type run struct{ scale float64 }

func (r run) budget() time.Duration {
	return time.Duration(r.scale * float64(200*time.Millisecond))
}

func (r run) scaled(count int) int {
	if scaled := int(r.scale * float64(count)); scaled > 1 {
		return scaled
	}
	return 1
}

func (r run) print(measure string, value float64, unit string) {
	fmt.Printf("%s %.6g %s\n", measure, value, unit)
}

func expect(isRight bool, what string) {
	if !isRight {
		fail(1, errors.New("a result is wrong: "+what))
	}
}

func fail(status int, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
	os.Exit(status)
}

func quantile(samples []float64, share float64) float64 {
	sort.Float64s(samples)
	return samples[int(share*float64(len(samples)-1))]
}

func nanoseconds(since time.Time) float64 { return float64(time.Since(since).Nanoseconds()) }

// repeat returns the nanoseconds of one operation, as a median of batches and as a mean, and how
// often it was done, the warming up included.
func repeat(budget time.Duration, operation func()) (median, mean float64, count uint64) {
	timed := func(size int) float64 {
		began := time.Now()
		for i := 0; i < size; i++ {
			operation()
		}
		return nanoseconds(began)
	}
	size := 1
	for warm := time.Now().Add(budget / 4); time.Now().Before(warm); {
		took := timed(size)
		count += uint64(size)
		if took < float64(budget.Nanoseconds())/64 {
			size *= 2
		}
	}
	var samples []float64
	total := 0.0
	for due := time.Now().Add(budget); len(samples) == 0 || time.Now().Before(due); {
		took := timed(size)
		total += took
		samples = append(samples, took/float64(size))
	}
	measured := len(samples) * size
	return quantile(samples, 0.5), total / float64(measured), count + uint64(measured)
}

// medianOf repeats what returns one sample, after one that does not count.
func medianOf(budget time.Duration, sample func() float64) float64 {
	sample()
	var samples []float64
	for due := time.Now().Add(budget); len(samples) == 0 || time.Now().Before(due); {
		samples = append(samples, sample())
	}
	return quantile(samples, 0.5)
}

func call1(r run) {
	s := start(uint64(0))
	median, _, count := repeat(r.budget(), func() { call(s, increment) })
	var single []float64
	for due := time.Now().Add(r.budget() / 4); len(single) == 0 || time.Now().Before(due); count++ {
		began := time.Now()
		call(s, increment)
		single = append(single, nanoseconds(began))
	}
	expect(call(s, value) == count, "the calls of one client")
	s.stop()
	r.print("call_1", median, "ns")
	r.print("call_1_p99", quantile(single, 0.99), "ns")
}

func callBusy(busy int) func(run) {
	return func(r run) {
		s := start(uint64(0))
		var isOver atomic.Bool
		var others sync.WaitGroup
		for i := 0; i < busy; i++ {
			others.Add(1)
			go func() {
				runtime.LockOSThread()
				for !isOver.Load() {
				}
				others.Done()
			}()
		}
		_, mean, count := repeat(r.budget()*2, func() { call(s, increment) })
		isOver.Store(true)
		others.Wait()
		expect(call(s, value) == count, "the calls beside busy goroutines")
		s.stop()
		r.print(fmt.Sprint("call_busy_", busy), mean, "ns")
	}
}

func callMany(clients int) func(run) {
	return func(r run) {
		s := start(uint64(0))
		var isOver atomic.Bool
		var sent atomic.Uint64
		var all sync.WaitGroup
		for i := 0; i < clients; i++ {
			all.Add(1)
			go func() {
				calls := uint64(0)
				for ; !isOver.Load(); calls++ {
					call(s, increment)
				}
				sent.Add(calls)
				all.Done()
			}()
		}
		var when time.Time
		look := func(n *uint64) uint64 { when = time.Now(); return *n }
		time.Sleep(r.budget() / 4)
		first, began := call(s, look), when
		time.Sleep(r.budget())
		last := call(s, look)
		between := when.Sub(began)
		isOver.Store(true)
		all.Wait()
		expect(call(s, value) == sent.Load(), "the calls of many clients")
		s.stop()
		r.print(fmt.Sprint("call_", clients), float64(last-first)/between.Seconds()/1000, "k/s")
	}
}

func callNested(r run) {
	outer, inner := start(uint64(0)), start(uint64(0))
	var median float64
	count := call(outer, func(*uint64) (count uint64) {
		median, _, count = repeat(r.budget(), func() { call(inner, increment) })
		return
	})
	expect(call(inner, value) == count, "the calls of another server")
	outer.stop()
	inner.stop()
	r.print("call_nested", median, "ns")
}

func castMany(producers int) func(run) {
	return func(r run) {
		s := start(uint64(0))
		each := r.scaled(512*1024)/producers + 1
		sent := uint64(0)
		took := medianOf(r.budget(), func() float64 {
			var all sync.WaitGroup
			began := time.Now()
			for i := 0; i < producers; i++ {
				all.Add(1)
				go func() {
					for j := 0; j < each; j++ {
						s.cast(addOne)
					}
					all.Done()
				}()
			}
			all.Wait()
			handled := call(s, value)
			elapsed := nanoseconds(began)
			sent += uint64(each * producers)
			expect(handled == sent, "the casts of all producers")
			return elapsed / float64(each*producers)
		})
		s.stop()
		r.print(fmt.Sprint("cast_", producers), 1000/took, "M/s")
	}
}

func castAsleep(r run) {
	s := start(uint64(0))
	samples := make([]float64, r.scaled(200))
	for i := range samples {
		time.Sleep(500 * time.Microsecond)
		began := time.Now()
		s.cast(addOne)
		samples[i] = nanoseconds(began)
	}
	expect(call(s, value) == uint64(len(samples)), "the casts to a sleeping server")
	s.stop()
	r.print("cast_asleep", quantile(samples, 0.5), "ns")
}

// hop is a server that hands a token on to the next one.
type hop struct {
	next     *server[hop]
	finished chan struct{}
	taken    uint64
}

func (h *hop) take(left int) {
	h.taken++
	if left == 0 {
		h.finished <- struct{}{}
	} else {
		h.next.cast(func(next *hop) { next.take(left - 1) })
	}
}

func hops(measure string, size int) func(run) {
	return func(r run) {
		finished := make(chan struct{})
		ring := make([]*server[hop], size)
		for i := range ring {
			ring[i] = start(hop{finished: finished})
		}
		for i, s := range ring {
			next := ring[(i+1)%size]
			call(s, func(h *hop) uint64 { h.next = next; return 0 })
		}
		count, rounds := r.scaled(10000), 0
		took := medianOf(r.budget(), func() float64 {
			began := time.Now()
			ring[0].cast(func(h *hop) { h.take(count) })
			<-finished
			rounds++
			return nanoseconds(began) / float64(count+1)
		})
		taken := uint64(0)
		for _, s := range ring {
			taken += call(s, func(h *hop) uint64 { return h.taken })
		}
		expect(taken == uint64(rounds*(count+1)), "the hops of a token")
		for _, s := range ring {
			s.stop()
		}
		r.print(measure, took, "ns")
	}
}

func spawn(r run) {
	median, _, _ := repeat(r.budget(), func() {
		s := start(uint64(41))
		expect(call(s, increment) == 42, "the call of a new server")
		s.stop()
	})
	r.print("spawn", median/1000, "us")
}

func idleServers(count int) []*server[uint64] {
	servers := make([]*server[uint64], count)
	for i := range servers {
		servers[i] = start(uint64(0))
		call(servers[i], increment)
	}
	return servers
}

func residentBytes() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		fail(1, err)
	}
	pages, err := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	if err != nil {
		fail(1, err)
	}
	return pages * float64(os.Getpagesize())
}

func kernelBytes() float64 {
	file, err := os.Open("/proc/meminfo")
	if err != nil {
		fail(1, err)
	}
	defer file.Close()
	sum := 0.0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "KernelStack:", "PageTables:", "SUnreclaim:":
			kilobytes, _ := strconv.ParseFloat(words[1], 64)
			sum += kilobytes * 1024
		}
	}
	return sum
}

func memory(count int) func(run) {
	return func(r run) {
		idleServers(1)[0].stop()
		made := r.scaled(count)
		resident, kernel := residentBytes(), kernelBytes()
		servers := idleServers(made)
		time.Sleep(r.budget() / 4)
		r.print(fmt.Sprint("memory_", count), (residentBytes()-resident)/float64(made), "bytes")
		r.print(fmt.Sprint("kernel_", count), (kernelBytes()-kernel)/float64(made), "bytes")
		runtime.KeepAlive(servers)
	}
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(1, err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func idleProcessor(r run) {
	servers := idleServers(r.scaled(1000))
	time.Sleep(r.budget())
	before := processorTime()
	time.Sleep(r.budget() / 20)
	used, began := processorTime(), time.Now() // to sleep and look takes time, too
	time.Sleep(r.budget() * 10)
	microseconds := float64(processorTime()-used-(used-before)) / 1000
	r.print("idle_processor", microseconds/time.Since(began).Seconds(), "ppm")
	runtime.KeepAlive(servers)
}

func allocations(r run) {
	count := r.scaled(20000)
	measure := func(name string, operation func(*server[uint64])) {
		s := start(uint64(0))
		all := func() uint64 {
			for i := 0; i < count; i++ {
				operation(s)
			}
			return call(s, value)
		}
		all()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		expect(all() == uint64(2*count), "what is sent while allocations are counted")
		runtime.ReadMemStats(&after)
		s.stop()
		r.print(name, float64(after.Mallocs-before.Mallocs)/float64(count), "allocations")
	}
	measure("allocations_call", func(s *server[uint64]) { call(s, increment) })
	measure("allocations_cast", func(s *server[uint64]) { s.cast(addOne) })
}

type measure struct {
	name string
	run  func(run)
}

var measures = []measure{
	{"call_1", call1},
	{"call_4", callMany(4)},
	{"call_16", callMany(16)},
	{"call_busy_2", callBusy(2)},
	{"call_busy_4", callBusy(4)},
	{"call_nested", callNested},
	{"allocations", allocations},
	{"cast_1", castMany(1)},
	{"cast_4", castMany(4)},
	{"cast_16", castMany(16)},
	{"cast_asleep", castAsleep},
	{"ping_pong", hops("ping_pong", 2)},
	{"thread_ring", hops("thread_ring", 503)},
	{"spawn", spawn},
	{"memory_1000", memory(1000)},
	{"memory_10000", memory(10000)},
	{"idle_processor", idleProcessor},
}

func find(name string) measure {
	for _, m := range measures {
		if m.name == name {
			return m
		}
	}
	fail(2, fmt.Errorf("there is no measure %q; --list tells those that there are", name))
	return measure{}
}

// program --list, or program [--peer go] [--scale FACTOR] measure...
func main() {
	r := run{1}
	var chosen []measure
	for words := os.Args[1:]; len(words) > 0; words = words[1:] {
		switch words[0] {
		case "--list":
			fmt.Print("go")
			for _, m := range measures {
				fmt.Print(" ", m.name)
			}
			fmt.Println()
			return
		case "--peer", "--scale":
			if len(words) == 1 {
				fail(2, errors.New(words[0]+" needs a word after it"))
			}
			scale, err := strconv.ParseFloat(words[1], 64)
			if words[0] == "--peer" && words[1] != "go" {
				fail(2, fmt.Errorf("there is no peer %q, but: go", words[1]))
			} else if words[0] == "--scale" && (err != nil || !(scale > 0 && scale <= 1000)) {
				fail(2, fmt.Errorf("--scale is %q, allowed is more than 0 and up to 1000", words[1]))
			} else if words[0] == "--scale" {
				r.scale = scale
			}
			words = words[1:]
		default:
			chosen = append(chosen, find(words[0]))
		}
	}
	if len(chosen) == 0 {
		fail(2, errors.New("which measure? --list tells those that there are"))
	}
	for _, m := range chosen {
		m.run(r)
	}
}
