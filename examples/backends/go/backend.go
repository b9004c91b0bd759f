// A backend for `linnet serve` in Go, without packages: it receives webhooks, checks who sent them,
// publishes, and mints tokens. Try: WEBHOOK_KEY=$(cat hook.key) LINNET_API_KEY=... go run backend.go
//
// Whoever subscribes to a channel that begins with "private" is refused; the call "add" adds, and
// the call "announce" publishes what it was given in the channel "news".
package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
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

const tries = 4

var client = http.Client{Timeout: 5 * time.Second}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// Place is where a publication stands: one more than the one before, inside its epoch.
type Place struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// once says it to the server, and whether saying it again may help.
func once(body []byte) (at Place, again bool, err error) {
	url := env("LINNET_URL", "http://127.0.0.1:8080") + "/api/v1/publish"
	request, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		return at, false, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+os.Getenv("LINNET_API_KEY"))
	response, err := client.Do(request)
	if err != nil {
		return at, true, err
	}
	defer response.Body.Close()
	var said struct {
		Ok    Place
		Error struct {
			Message string
			Retry   bool
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
		return at, true, err
	}
	if response.StatusCode != 200 {
		return at, said.Error.Retry, errors.New(said.Error.Message)
	}
	return said.Ok, false, nil
}

// Publish gives the place it has. It is sent again where no answer came, or one that says so: the
// key makes it one publication however often it arrives.
func Publish(channel string, data any) (Place, error) {
	key := make([]byte, 16)
	rand.Read(key)
	body, err := json.Marshal(map[string]any{"channel": channel, "data": data, "key": hex.EncodeToString(key)})
	if err != nil {
		return Place{}, err
	}
	for n := 1; ; n++ {
		at, again, err := once(body)
		if err == nil || !again || n == tries {
			return at, err
		}
		time.Sleep(time.Duration(key[n]) * time.Millisecond * time.Duration(int(1)<<n) / 2)
	}
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
	case q.Type == "channel_occupied" || q.Type == "channel_vacated":
		fmt.Println(q.Type, q.Channel)
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
	case q.Type == "call" && q.Event == "announce":
		at, err := Publish("news", q.Data)
		if err != nil {
			log.Print("not published: ", err)
			return refuse(108, "not published")
		}
		return map[string]any{"data": at}
	case q.Type == "call":
		return refuse(104, "there is no such method")
	}
	return struct{}{}
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == "mint" {
		var claims map[string]any
		if err := json.Unmarshal([]byte(os.Args[2]), &claims); err != nil {
			log.Fatal(err)
		}
		fmt.Println(Mint(claims, os.Getenv("JWT_SECRET")))
		return
	}
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
	door, err := net.Listen("tcp", "127.0.0.1:"+env("PORT", "3000"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("backend on http://%s/hook\n", door.Addr())
	log.Fatal(http.Serve(door, nil))
}
