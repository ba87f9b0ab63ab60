// redigo from Debian: commands, pipelines, transactions, scripts, subscriptions, streams, pools.
package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

var address = os.Args[1] + ":" + os.Args[2]

const patience = 30 * time.Second

func connected(options ...redis.DialOption) redis.Conn {
	c, err := redis.Dial("tcp", address, options...)
	must(err)
	return c
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(got interface{}, err error, expected interface{}) {
	must(err)
	if !reflect.DeepEqual(got, expected) {
		panic(fmt.Sprintf("got %#v, expected %#v", got, expected))
	}
}

func refused(err error, text string) {
	if err == nil || !strings.HasPrefix(err.Error(), text) {
		panic(fmt.Sprintf("error %v, expected %s", err, text))
	}
}

func until(what string, condition func() bool) {
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("not seen: " + what)
		}
	}
}

// Where there are several nodes, clients wait at the leader.
func untilBlocked() {
	port := os.Getenv("LEADER_PORT")
	if port == "" {
		port = os.Args[2]
	}
	c, err := redis.Dial("tcp", os.Args[1]+":"+port)
	must(err)
	defer c.Close()
	until("it waits", func() bool {
		info, err := redis.String(c.Do("INFO", "clients"))
		must(err)
		return strings.Contains(info, "blocked_clients:1\r")
	})
}

func commands() {
	c := connected()
	defer c.Close()
	s, err := redis.String(c.Do("SET", "s", "v", "EX", 100, "NX"))
	equal(s, err, "OK")
	_, err = redis.String(c.Do("SET", "s", "w", "NX"))
	if err != redis.ErrNil {
		panic(err)
	}
	n, err := redis.Int(c.Do("INCRBY", "n", 5))
	equal(n, err, 5)
	_, err = c.Do("HSET", redis.Args{}.Add("h").AddFlat(map[string]string{"a": "1", "b": "two"})...)
	must(err)
	h, err := redis.StringMap(c.Do("HGETALL", "h"))
	equal(h, err, map[string]string{"a": "1", "b": "two"})
	_, err = c.Do("RPUSH", "l", "a", "b", "c")
	must(err)
	l, err := redis.Strings(c.Do("LRANGE", "l", 0, -1))
	equal(l, err, []string{"a", "b", "c"})
	_, err = c.Do("ZADD", "z", 1, "one", 2.5, "two")
	must(err)
	z, err := redis.StringMap(c.Do("ZRANGE", "z", 0, -1, "WITHSCORES"))
	equal(z, err, map[string]string{"one": "1", "two": "2.5"})
	_, err = c.Do("INCR", "l")
	refused(err, "WRONGTYPE")
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	large := bytes.Repeat([]byte("x\r\n$"), 1<<19)
	for _, value := range [][]byte{all, large} {
		_, err = c.Do("SET", all, value)
		must(err)
		got, err := redis.Bytes(c.Do("GET", all))
		equal(got, err, value)
	}
}

func pipelines() {
	c, other := connected(), connected()
	defer c.Close()
	defer other.Close()
	for i := 0; i < 1000; i++ {
		must(c.Send("INCR", "n"))
	}
	must(c.Flush())
	for i := 0; i < 1000; i++ {
		n, err := redis.Int(c.Receive())
		equal(n, err, i+1)
	}
	must(c.Send("MULTI"))
	must(c.Send("SET", "a", "x"))
	must(c.Send("GET", "a"))
	got, err := redis.Strings(c.Do("EXEC"))
	equal(got, err, []string{"OK", "x"})
	_, err = c.Do("WATCH", "a")
	must(err)
	_, err = other.Do("SET", "a", "changed")
	must(err)
	must(c.Send("MULTI"))
	must(c.Send("SET", "a", "mine"))
	dirty, err := c.Do("EXEC")
	equal(dirty, err, nil)
}

func blocking() {
	popped := make(chan []string)
	go func() {
		c := connected()
		defer c.Close()
		got, _ := redis.Strings(c.Do("BLPOP", "l1", "l2", 10))
		popped <- got
	}()
	untilBlocked()
	c := connected()
	defer c.Close()
	_, err := c.Do("RPUSH", "l2", "v")
	equal(<-popped, err, []string{"l2", "v"})
}

func scripts() {
	c := connected()
	defer c.Close()
	s := redis.NewScript(1, "return redis.call('incrby', KEYS[1], ARGV[1])")
	for i := 1; i <= 3; i++ {
		n, err := redis.Int(s.Do(c, "n", 5))
		equal(n, err, 5*i)
	}
	_, err := c.Do("EVALSHA", strings.Repeat("f", 40), 0)
	refused(err, "NOSCRIPT")
	must(c.Send("MULTI"))
	must(s.SendHash(c, "n", 1))
	got, err := redis.Ints(c.Do("EXEC"))
	equal(got, err, []int{16})
}

func subscriptions() {
	c := connected()
	defer c.Close()
	sub := redis.PubSubConn{Conn: connected()}
	defer sub.Close()
	must(sub.Subscribe("news"))
	must(sub.PSubscribe("w*"))
	heard := []string{}
	for done := false; !done; {
		switch m := sub.ReceiveWithTimeout(patience).(type) {
		case redis.Message:
			heard = append(heard, m.Pattern+" "+m.Channel+" "+string(m.Data))
			if len(heard) == 2 {
				must(sub.Ping("there"))
			}
		case redis.Subscription:
			if m.Count == 2 {
				for _, channel := range []string{"news", "weather"} {
					n, err := redis.Int(c.Do("PUBLISH", channel, "hello"))
					equal(n, err, 1)
				}
			}
			done = m.Count == 0
		case redis.Pong:
			equal(m.Data, nil, "there")
			must(sub.Unsubscribe())
			must(sub.PUnsubscribe())
		case error:
			panic(m)
		}
	}
	equal(heard, nil, []string{" news hello", "w* weather hello"})
}

func streams() {
	c := connected()
	defer c.Close()
	id, err := redis.String(c.Do("XADD", "s", "*", "f", "v"))
	must(err)
	_, err = c.Do("XGROUP", "CREATE", "s", "g", "0")
	must(err)
	got, err := redis.Values(c.Do("XREADGROUP", "GROUP", "g", "me", "STREAMS", "s", ">"))
	must(err)
	if text := fmt.Sprintf("%s", got); text != "[[s [["+id+" [f v]]]]]" {
		panic(text)
	}
	n, err := redis.Int(c.Do("XACK", "s", "g", id))
	equal(n, err, 1)
}

func pools() {
	pool := &redis.Pool{MaxIdle: 5, MaxActive: 10, Wait: true, Dial: func() (redis.Conn, error) {
		return redis.Dial("tcp", address, redis.DialDatabase(3), redis.DialClientName("resident"))
	}, TestOnBorrow: func(c redis.Conn, _ time.Time) error {
		_, err := c.Do("PING")
		return err
	}}
	defer pool.Close()
	done := make(chan error)
	for i := 0; i < 200; i++ {
		go func() {
			c := pool.Get()
			defer c.Close()
			_, err := c.Do("INCR", "n")
			done <- err
		}()
	}
	for i := 0; i < 200; i++ {
		must(<-done)
	}
	c := pool.Get()
	defer c.Close()
	n, err := redis.Int(c.Do("GET", "n"))
	equal(n, err, 200)
}

func passes(name string, test func()) (passed bool) {
	defer func() {
		if why := recover(); why != nil {
			fmt.Printf("not ok %s: %v\n", name, why)
		}
	}()
	c := connected()
	defer c.Close()
	_, err := c.Do("FLUSHALL")
	must(err)
	test()
	fmt.Printf("ok %s\n", name)
	return true
}

func main() {
	status := 0
	for _, test := range []struct {
		name string
		run  func()
	}{{"commands", commands}, {"pipelines and transactions", pipelines}, {"blocking", blocking}, {"scripts", scripts},
		{"publish and subscribe", subscriptions}, {"streams", streams}, {"pools", pools}} {
		if !passes(test.name, test.run) {
			status = 1
		}
	}
	os.Exit(status)
}
