// The Go peer: rocketmq-client-go v2 behind the line protocol of ../README.md.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

var stdout sync.Mutex

func say(id string, fields ...interface{}) {
	line := id
	for _, field := range fields {
		line += fmt.Sprintf("\t%v", field)
	}
	stdout.Lock()
	defer stdout.Unlock()
	fmt.Println(line)
}

type command struct {
	id      string
	options map[string]string
	stop    chan struct{}
}

func (c *command) get(name, fallback string) string {
	if value, ok := c.options[name]; ok {
		return value
	}
	return fallback
}

func (c *command) number(name, fallback string) int {
	value, err := strconv.Atoi(c.get(name, fallback))
	if err != nil {
		panic(err)
	}
	return value
}

func (c *command) resolver() primitive.NsResolver {
	return primitive.NewPassthroughResolver([]string{c.get("--namesrv", "")})
}

func main() {
	rlog.SetLogLevel("warn")
	running := map[string]*command{}
	var all sync.WaitGroup
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Split(lines.Text(), "\t")
		if len(words) < 2 {
			continue
		}
		if words[1] == "stop" {
			if c := running[words[0]]; c != nil {
				close(c.stop)
				delete(running, words[0])
			}
			continue
		}
		c := &command{id: words[0], options: map[string]string{}, stop: make(chan struct{})}
		for i := 2; i+1 < len(words); i += 2 {
			c.options[words[i]] = words[i+1]
		}
		running[c.id] = c
		all.Add(1)
		go func() {
			defer all.Done()
			c.run(words[1])
		}()
	}
	for _, c := range running {
		close(c.stop)
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
	}
}

func (c *command) run(role string) {
	var err error
	last := "DONE"
	switch role {
	case "send":
		err = c.send()
	case "consume":
		err = c.consume()
		last = "STOPPED"
	default:
		err = fmt.Errorf("unknown command %s", role)
	}
	if err != nil {
		say(c.id, "ERROR", strings.NewReplacer("\t", " ", "\n", " ").Replace(err.Error()))
		return
	}
	say(c.id, last)
}

// keyed sends a message to the queue its sharding key names, others round robin.
type keyed struct{ others producer.QueueSelector }

func (k keyed) Select(m *primitive.Message, queues []*primitive.MessageQueue, last string) *primitive.MessageQueue {
	key, err := strconv.Atoi(m.GetShardingKey())
	if err != nil {
		return k.others.Select(m, queues, last)
	}
	wanted := key % len(queues)
	for _, queue := range queues {
		if queue.QueueId == wanted {
			return queue
		}
	}
	return queues[wanted]
}

func status(result *primitive.SendResult) string {
	switch result.Status {
	case primitive.SendOK:
		return "SEND_OK"
	case primitive.SendFlushDiskTimeout:
		return "FLUSH_DISK_TIMEOUT"
	case primitive.SendFlushSlaveTimeout:
		return "FLUSH_SLAVE_TIMEOUT"
	case primitive.SendSlaveNotAvailable:
		return "SLAVE_NOT_AVAILABLE"
	}
	return "UNKNOWN"
}

func (c *command) sent(m *primitive.Message, result *primitive.SendResult, step int64) {
	say(c.id, "SENT", string(m.Body), status(result), result.MsgID, result.MessageQueue.QueueId, result.QueueOffset+step)
}

func (c *command) send() error {
	p, err := producer.NewDefaultProducer(
		producer.WithGroupName(c.get("--group", "")),
		producer.WithInstanceName("i"+c.id),
		producer.WithNsResolver(c.resolver()),
		producer.WithSendMsgTimeout(10*time.Second),
		producer.WithQueueSelector(keyed{producer.NewRoundRobinQueueSelector()}),
	)
	if err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	defer p.Shutdown()
	mode, prefix, ctx := c.get("--mode", "sync"), c.get("--prefix", ""), context.Background()
	count := c.number("--count", "0")
	interval := time.Duration(c.number("--interval-ms", "0")) * time.Millisecond
	var answers sync.WaitGroup
	var batch []*primitive.Message
	for i := 0; i < count; i++ {
		body := fmt.Sprintf("%s-%d", prefix, i)
		if mode == "orderly" {
			body = fmt.Sprintf("%s-%d-%d", prefix, i%4, i/4)
		}
		m := primitive.NewMessage(c.get("--topic", ""), []byte(body))
		if tag := c.get("--tag", ""); tag != "" {
			m.WithTag(tag)
		}
		switch mode {
		case "sync", "orderly":
			if mode == "orderly" {
				m.WithShardingKey(strconv.Itoa(i % 4))
			}
			result, err := p.SendSync(ctx, m)
			if err != nil {
				return err
			}
			c.sent(m, result, 0)
		case "async":
			answers.Add(1)
			err := p.SendAsync(ctx, func(_ context.Context, result *primitive.SendResult, err error) {
				defer answers.Done()
				if err != nil {
					say(c.id, "SENT", body, "EXCEPTION "+err.Error())
					return
				}
				c.sent(m, result, 0)
			}, m)
			if err != nil {
				return err
			}
		case "oneway":
			if err := p.SendOneWay(ctx, m); err != nil {
				return err
			}
			say(c.id, "SENT", body, "ONEWAY")
		case "batch":
			batch = append(batch, m)
			if len(batch) == 16 || i == count-1 {
				// The client marshals the batch into its first element: keep the messages apart.
				result, err := p.SendSync(ctx, batch...)
				if err != nil {
					return err
				}
				for step, one := range batch {
					c.sent(one, result, int64(step))
				}
				batch = nil
			}
		default:
			return fmt.Errorf("unknown mode %s", mode)
		}
		select {
		case <-c.stop:
			count = i
		case <-time.After(interval):
		}
	}
	answers.Wait()
	if mode == "oneway" {
		<-c.stop
	}
	return nil
}

func (c *command) consume() error {
	mode := c.get("--mode", "concurrent")
	options := []consumer.Option{
		consumer.WithGroupName(c.get("--group", "")),
		consumer.WithInstance("i" + c.id),
		consumer.WithNsResolver(c.resolver()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumerOrder(mode == "orderly"),
	}
	if mode == "broadcast" {
		options = append(options, consumer.WithConsumerModel(consumer.BroadCasting))
	}
	if _, ok := c.options["--max-reconsume"]; ok {
		options = append(options, consumer.WithMaxReconsumeTimes(int32(c.number("--max-reconsume", ""))))
	}
	pc, err := consumer.NewPushConsumer(options...)
	if err != nil {
		return err
	}
	failTimes := c.number("--fail-times", "0")
	var lock sync.Mutex
	deliveries := map[string]int{}
	accept := func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		ok := true
		for _, m := range messages {
			tag := m.GetTags()
			if tag == "" {
				tag = "-"
			}
			say(c.id, "RECV", string(m.Body), m.Queue.QueueId, m.QueueOffset, m.ReconsumeTimes, tag)
			lock.Lock()
			deliveries[string(m.Body)]++
			ok = ok && deliveries[string(m.Body)] > failTimes
			lock.Unlock()
		}
		if ok {
			return consumer.ConsumeSuccess, nil
		}
		if mode == "orderly" {
			return consumer.SuspendCurrentQueueAMoment, nil
		}
		return consumer.ConsumeRetryLater, nil
	}
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: c.get("--expression", "*")}
	if err := pc.Subscribe(c.get("--topic", ""), selector, accept); err != nil {
		return err
	}
	if err := pc.Start(); err != nil {
		return err
	}
	say(c.id, "READY")
	<-c.stop
	// Nothing tells when the library has noted what the handlers are done with.
	time.Sleep(200 * time.Millisecond)
	return pc.Shutdown()
}
