// A backend for `linnet serve` in Go, without packages: it receives webhooks, checks who sent them,
// and mints tokens. Try: WEBHOOK_KEY=$(cat hook.key) go run backend.go
//
// Whoever subscribes to a channel that begins with "private" is refused, and the call "add" adds.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const window = 300 * time.Second

var (
	mutex sync.Mutex
	seen  = map[string]time.Time{} // id -> when it may be forgotten
)

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

func bytesOf(key string) []byte {
	if !strings.HasPrefix(key, "whsec_") {
		return []byte(key)
	}
	raw, _ := base64.StdEncoding.DecodeString(key[6:])
	return raw
}

// Verify is true when a webhook is ours and of now.
func Verify(h http.Header, body []byte, key string) bool {
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || id == "" || age > window || age < -window {
		return false
	}
	wanted := "v1," + base64.StdEncoding.EncodeToString(mac(bytesOf(key), append([]byte(id+"."+stamp+"."), body...)))
	for _, given := range strings.Split(h.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(given), []byte(wanted)) {
			return true
		}
	}
	return false
}

// IsNew is false for an id that came before: a replay, or news that came twice.
func IsNew(id string) bool {
	mutex.Lock()
	defer mutex.Unlock()
	for old, until := range seen {
		if time.Now().After(until) {
			delete(seen, old)
		}
	}
	_, known := seen[id]
	seen[id] = time.Now().Add(2 * window)
	return !known
}

// Mint makes a token that says who somebody is (HS256).
func Mint(claims map[string]any, secret string) string {
	body, _ := json.Marshal(claims)
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc.EncodeToString(body)
	return text + "." + enc.EncodeToString(mac([]byte(secret), []byte(text)))
}

type question struct {
	Type, Channel, Event string
	Data                 json.RawMessage
}

func refuse(code int, words string) any {
	return map[string]any{"error": map[string]any{"code": code, "message": words}}
}

func decide(q question) any {
	inAnHour := time.Now().Unix() + 3600
	switch {
	case q.Type == "connect": // ask your session store here
		return map[string]any{"user": "guest", "expires": inAnHour, "data": map[string]any{"motd": "hello"}}
	case q.Type == "refresh":
		return map[string]any{"expires": inAnHour}
	case q.Type == "subscribe" && strings.HasPrefix(q.Channel, "private"):
		return refuse(103, "that one is private")
	case q.Type == "call" && q.Event == "add":
		var list []float64
		sum := 0.0
		if json.Unmarshal(q.Data, &list) != nil {
			return refuse(107, "wants a list of numbers")
		}
		for _, n := range list {
			sum += n
		}
		return map[string]any{"data": sum}
	case q.Type == "call":
		return refuse(104, "there is no such method")
	}
	return struct{}{}
}

func main() {
	http.HandleFunc("/hook", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<24))
		var q question
		if !Verify(r.Header, body, os.Getenv("WEBHOOK_KEY")) {
			w.WriteHeader(401)
		} else if !IsNew(r.Header.Get("webhook-id")) {
			w.WriteHeader(409)
		} else if json.Unmarshal(body, &q) != nil {
			w.WriteHeader(400)
		} else {
			json.NewEncoder(w).Encode(decide(q))
		}
	})
	fmt.Println("backend on http://127.0.0.1:3000/hook")
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", nil))
}
