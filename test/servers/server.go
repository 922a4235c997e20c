// Go's net/http and its ServeMux with their defaults: three protected handlers, everything else open.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"regexp"
)

// What a header may hold.
var plain = regexp.MustCompile(`^[\x21-\x7e]+$`)

type hit struct {
	Handler   string `json:"handler"`
	Case      string `json:"case"`
	Signature string `json:"signature"`
	Body      string `json:"body"`
}

func protect(handler string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		line := hit{handler, r.Header.Get("X-Case"), r.Header.Get("Entrupy-Signature"), string(body)}
		_ = json.NewEncoder(os.Stdout).Encode(line)
		_, _ = io.WriteString(w, "protected")
	}
}

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("/notify", protect("notify"))
	mux.HandleFunc("/webhooks/notify", protect("webhooks"))
	mux.HandleFunc("/internal", protect("internal"))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "open") })

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]int{"listening": listener.Addr().(*net.TCPAddr).Port})
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if plain.MatchString(r.RequestURI) {
			w.Header().Set("X-Target", r.RequestURI)
		}
		mux.ServeHTTP(w, r)
	})))
}
