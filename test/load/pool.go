// A Go client's pool, for drains.ts: the same commands as pools.ts. Arguments: port, connections, rate, signature, body.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	ends    = map[string]int{}
	lock    sync.Mutex
	port    atomic.Value
	pending sync.WaitGroup
)

func ask(client *http.Client) {
	defer pending.Done()
	end := ""
	var got httptrace.GotConnInfo
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { got = info }}
	request, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "POST", "http://h/notify", strings.NewReader(os.Args[5]))
	request.Header.Set("Entrupy-Signature", os.Args[4])
	response, err := client.Do(request)
	if err != nil {
		end = fmt.Sprintf("%v (reused %v, idle %v)", err, got.Reused, got.IdleTime.Round(time.Millisecond))
		if errors.Is(err, syscall.ECONNREFUSED) {
			end = "ECONNREFUSED"
		}
	} else {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		end = strconv.Itoa(response.StatusCode)
	}
	lock.Lock()
	ends[end]++
	lock.Unlock()
}

func main() {
	connections, _ := strconv.Atoi(os.Args[2])
	rate, _ := strconv.ParseFloat(os.Args[3], 64)
	port.Store(os.Args[1])
	dialer := &net.Dialer{}
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, IdleConnTimeout: 10 * time.Minute,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, "127.0.0.1:"+port.Load().(string))
		},
	}}
	start := func() {
		pending.Add(1)
		go ask(client)
	}
	var stopped atomic.Bool
	go func() {
		for !stopped.Load() {
			time.Sleep(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
			start()
		}
	}()
	fmt.Println("started")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch words[0] {
		case "port":
			port.Store(words[1])
		case "fill":
			for range connections {
				start()
			}
			time.Sleep(500 * time.Millisecond)
			fmt.Println("filled")
		case "stop":
			stopped.Store(true)
			time.Sleep(500 * time.Millisecond)
			lock.Lock()
			refused := ends["ECONNREFUSED"]
			delete(ends, "ECONNREFUSED")
			text, _ := json.Marshal(map[string]any{"ends": ends, "refused": refused, "endedIdle": nil})
			fmt.Println(string(text))
			return
		}
	}
}
