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
	case "reply":
		err = c.reply()
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
	say(c.id, "SENT", strings.TrimRight(string(m.Body), "."), status(result), result.MsgID, result.MessageQueue.QueueId, result.QueueOffset+step)
}

// settled decides transactions as the options say.
type settled struct{ c *command }

func (s settled) decision(option string) primitive.LocalTransactionState {
	switch s.c.get(option, "") {
	case "COMMIT_MESSAGE":
		return primitive.CommitMessageState
	case "ROLLBACK_MESSAGE":
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func (s settled) ExecuteLocalTransaction(*primitive.Message) primitive.LocalTransactionState {
	return s.decision("--local")
}

func (s settled) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	say(s.c.id, "TOLD", "checked", string(m.Body))
	return s.decision("--check")
}

func (c *command) credentials() primitive.Credentials {
	return primitive.Credentials{AccessKey: c.get("--access-key", ""), SecretKey: c.get("--secret-key", "")}
}

func (c *command) traceConfig() *primitive.TraceConfig {
	return &primitive.TraceConfig{Access: primitive.Local, Resolver: c.resolver()}
}

func (c *command) producerOptions(group string) []producer.Option {
	options := []producer.Option{
		producer.WithGroupName(group),
		producer.WithInstanceName("i" + c.id),
		producer.WithNsResolver(c.resolver()),
		producer.WithSendMsgTimeout(10 * time.Second),
		producer.WithQueueSelector(keyed{producer.NewRoundRobinQueueSelector()}),
		producer.WithCompressMsgBodyOverHowmuch(1 << 30),
		producer.WithCredentials(c.credentials()),
		producer.WithNamespace(c.get("--namespace", "")),
	}
	if _, ok := c.options["--trace"]; ok {
		options = append(options, producer.WithTrace(c.traceConfig()))
	}
	return options
}

// padded makes a body as long as --length says.
func (c *command) padded(body string) string {
	if missing := c.number("--length", "0") - len(body); missing > 0 {
		return body + strings.Repeat(".", missing)
	}
	return body
}

// bare is a body without its padding; one of another length than --length keeps a mark that says so.
func (c *command) bare(body string) string {
	if _, ok := c.options["--length"]; !ok {
		return body
	}
	bare := strings.TrimRight(body, ".")
	if len(body) != c.number("--length", "") {
		return fmt.Sprintf("%s!%d", bare, len(body))
	}
	return bare
}

func (c *command) send() error {
	if c.get("--mode", "sync") == "transaction" {
		return c.sendInTransaction()
	}
	p, err := producer.NewDefaultProducer(c.producerOptions(c.get("--group", ""))...)
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
		m := primitive.NewMessage(c.get("--topic", ""), []byte(c.padded(body)))
		if level := c.number("--delay-level", "0"); level > 0 {
			m.WithDelayTimeLevel(level)
		}
		if queues := c.get("--dispatch", ""); queues != "" {
			m.WithProperty("INNER_MULTI_DISPATCH", queues)
		}
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
		case "request":
			answer, err := p.Request(ctx, 30*time.Second, m)
			if err != nil {
				return err
			}
			say(c.id, "SENT", body, "SEND_OK")
			say(c.id, "RECV", string(answer.Body), 0, 0, 0, "-")
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
	if _, ok := c.options["--stay"]; ok {
		<-c.stop
	}
	return nil
}

func (c *command) sendInTransaction() error {
	p, err := producer.NewTransactionProducer(settled{c}, c.producerOptions(c.get("--group", ""))...)
	if err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	defer p.Shutdown()
	for i := 0; i < c.number("--count", "0"); i++ {
		body := fmt.Sprintf("%s-%d", c.get("--prefix", ""), i)
		m := primitive.NewMessage(c.get("--topic", ""), []byte(body))
		result, err := p.SendMessageInTransaction(context.Background(), m)
		if err != nil {
			return err
		}
		// The offset it is told is the half message's.
		say(c.id, "SENT", body, status(result.SendResult), result.MsgID, "-", "-")
	}
	<-c.stop
	return nil
}

// reply answers requests: each is a delivery, each answer a send of `re-` and the request's body.
func (c *command) reply() error {
	options := c.producerOptions("answers-" + c.id)
	p, err := producer.NewDefaultProducer(append(options, producer.WithInstanceName("answers"+c.id))...)
	if err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	defer p.Shutdown()
	return c.consumeWith(func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range messages {
			c.received(m)
			answer, err := consumer.CreateReplyMessage(m, nil)
			if err != nil {
				return consumer.ConsumeRetryLater, err
			}
			answer.Body = []byte("re-" + string(m.Body))
			result, err := p.SendSync(ctx, answer)
			// The Broker does not know an asker that has sent no heartbeat yet: the answer is tried for some time, and
			// given up when the command is told to end.
			for round := 0; err != nil && round < 80; round++ {
				fmt.Fprintln(os.Stderr, c.id, err)
				select {
				case <-c.stop:
					return consumer.ConsumeRetryLater, err
				case <-time.After(250 * time.Millisecond):
				}
				result, err = p.SendSync(ctx, answer)
			}
			if err != nil {
				say(c.id, "ERROR", strings.ReplaceAll(err.Error(), "\n", " "))
				return consumer.ConsumeRetryLater, err
			}
			say(c.id, "SENT", string(answer.Body), status(result))
		}
		return consumer.ConsumeSuccess, nil
	})
}

// received reports a delivery and gives its body.
func (c *command) received(m *primitive.MessageExt) string {
	tag := m.GetTags()
	if tag == "" {
		tag = "-"
	}
	body, age := c.bare(string(m.Body)), time.Now().UnixNano()/int64(time.Millisecond)-m.BornTimestamp
	say(c.id, "RECV", body, m.Queue.QueueId, m.QueueOffset, m.ReconsumeTimes, tag, age)
	return body
}

func (c *command) consumerOptions() []consumer.Option {
	mode := c.get("--mode", "concurrent")
	options := []consumer.Option{
		consumer.WithGroupName(c.get("--group", "")),
		consumer.WithInstance("i" + c.id),
		consumer.WithNsResolver(c.resolver()),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumerOrder(mode == "orderly"),
		consumer.WithCredentials(c.credentials()),
		consumer.WithNamespace(c.get("--namespace", "")),
	}
	if mode == "broadcast" {
		options = append(options, consumer.WithConsumerModel(consumer.BroadCasting))
	}
	if _, ok := c.options["--max-reconsume"]; ok {
		options = append(options, consumer.WithMaxReconsumeTimes(int32(c.number("--max-reconsume", ""))))
	}
	if _, ok := c.options["--trace"]; ok {
		options = append(options, consumer.WithTrace(c.traceConfig()))
	}
	return options
}

func (c *command) selector() consumer.MessageSelector {
	if condition, ok := c.options["--sql"]; ok {
		return consumer.MessageSelector{Type: consumer.SQL92, Expression: condition}
	}
	return consumer.MessageSelector{Type: consumer.TAG, Expression: c.get("--expression", "*")}
}

// consumeLite polls until told to end.
func (c *command) consumeLite() error {
	pc, err := consumer.NewPullConsumer(c.consumerOptions()...)
	if err != nil {
		return err
	}
	if err := pc.Subscribe(c.get("--topic", ""), c.selector()); err != nil {
		return err
	}
	if err := pc.Start(); err != nil {
		return err
	}
	say(c.id, "READY")
	for {
		select {
		case <-c.stop:
			return pc.Shutdown()
		default:
		}
		ctx := context.Background()
		request, err := pc.Poll(ctx, 200*time.Millisecond)
		if consumer.IsNoNewMsgError(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range request.GetMsgList() {
			c.received(m)
		}
		pc.ACK(ctx, request, consumer.ConsumeSuccess)
	}
}

// consumeLight pulls a light queue from its first message on. Its Broker is known from the topic of whose messages it is.
func (c *command) consumeLight() error {
	pc, err := consumer.NewPullConsumer(c.consumerOptions()...)
	if err != nil {
		return err
	}
	if err := pc.Subscribe(c.get("--of", ""), c.selector()); err != nil {
		return err
	}
	if err := pc.Start(); err != nil {
		return err
	}
	say(c.id, "READY")
	go func() {
		queue := &primitive.MessageQueue{Topic: c.get("--topic", ""), BrokerName: c.get("--broker-name", "")}
		for offset := int64(0); ; {
			result, err := pc.PullFrom(context.Background(), queue, offset, 32)
			if err != nil {
				fmt.Fprintln(os.Stderr, c.id, err)
				select {
				case <-c.stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
				continue
			}
			for _, m := range result.GetMessageExts() {
				c.received(m)
			}
			offset = result.NextBeginOffset
		}
	}()
	<-c.stop
	return pc.Shutdown()
}

func (c *command) consume() error {
	mode, failTimes := c.get("--mode", "concurrent"), c.number("--fail-times", "0")
	if mode == "lite" {
		return c.consumeLite()
	}
	if mode == "light" {
		return c.consumeLight()
	}
	var lock sync.Mutex
	deliveries := map[string]int{}
	return c.consumeWith(func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		ok := true
		for _, m := range messages {
			body := c.received(m)
			lock.Lock()
			deliveries[body]++
			ok = ok && deliveries[body] > failTimes
			lock.Unlock()
		}
		if ok {
			return consumer.ConsumeSuccess, nil
		}
		if mode == "orderly" {
			return consumer.SuspendCurrentQueueAMoment, nil
		}
		return consumer.ConsumeRetryLater, nil
	})
}

func (c *command) consumeWith(accept func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error)) error {
	pc, err := consumer.NewPushConsumer(c.consumerOptions()...)
	if err != nil {
		return err
	}
	if err := pc.Subscribe(c.get("--topic", ""), c.selector(), accept); err != nil {
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
