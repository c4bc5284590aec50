/* The C peer: libferrocket behind the line protocol of ../README.md. Each command is a thread with a client of its
 * own; it leaves out the admin commands. */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ferrocket.h>

/* Keys of mode `orderly`, each with a queue of its own; messages of a batch; options of a command. */
enum { KEYS = 4, BATCH = 16, OPTIONS_MAX = 32, BODIES_MAX = 4096, BODY_MAX = 128 };
/* How often an answer is tried, with a quarter of a second between. */
enum { ANSWER_TRIES = 80 };

/* How often a body came. */
struct count {
    char body[BODY_MAX];
    int times;
};

struct command {
    char *id, *role;
    char *names[OPTIONS_MAX], *values[OPTIONS_MAX];
    int options;
    pthread_t thread;
    /* Guards what follows. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stopped, pending;
    struct count counts[BODIES_MAX];
    int bodies;
    fr_producer_t *answering;
    struct command *next;
};

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

/* Writes one line of the protocol. */
static void say(const struct command *c, const char *format, ...) {
    va_list fields;
    va_start(fields, format);
    pthread_mutex_lock(&output);
    printf("%s\t", c->id);
    vprintf(format, fields);
    putchar('\n');
    fflush(stdout);
    pthread_mutex_unlock(&output);
    va_end(fields);
}

static const char *get(const struct command *c, const char *name, const char *fallback) {
    int at;
    for (at = 0; at < c->options; at++) {
        if (strcmp(c->names[at], name) == 0) {
            return c->values[at];
        }
    }
    return fallback;
}

static int is(const struct command *c, const char *name, const char *value) {
    return strcmp(get(c, name, ""), value) == 0;
}

static int number(const struct command *c, const char *name) {
    return atoi(get(c, name, "0"));
}

/* The text of an error on one line. */
static void report(const struct command *c, const char *word, fr_error_t *error) {
    char text[512];
    size_t at;
    snprintf(text, sizeof text, "%s", error == NULL ? "no details" : fr_error_message(error));
    for (at = 0; text[at] != 0; at++) {
        if (text[at] == '\t' || text[at] == '\n' || text[at] == '\r') {
            text[at] = ' ';
        }
    }
    say(c, "%s%s", word, text);
    fr_error_free(error);
}

/* A call that fails ends the command. */
#define TRY(call)                            \
    do {                                     \
        fr_error_t *error = NULL;            \
        fr_error_t **where = &error;         \
        if ((call) != FR_OK) {               \
            report(c, "ERROR\t", error);     \
            goto failed;                     \
        }                                    \
    } while (0)

static void pause_ms(long ms) {
    struct timespec time;
    time.tv_sec = ms / 1000;
    time.tv_nsec = ms % 1000 * 1000000;
    nanosleep(&time, NULL);
}

/* Waits until the command is to end, at most so long (for ever if negative); whether it is. */
static int stopped_within(struct command *c, long ms) {
    struct timespec until;
    int stopped, late = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&c->lock);
    while (!c->stopped && !late) {
        late = ms < 0 ? pthread_cond_wait(&c->changed, &c->lock) : pthread_cond_timedwait(&c->changed, &c->lock, &until);
    }
    stopped = c->stopped;
    pthread_mutex_unlock(&c->lock);
    return stopped;
}

static const char *status_of(const fr_send_result_t *sent) {
    static const char *const names[] = {"SEND_OK", "FLUSH_DISK_TIMEOUT", "FLUSH_SLAVE_TIMEOUT", "SLAVE_NOT_AVAILABLE"};
    return names[fr_send_result_status(sent)];
}

static void report_sent(const struct command *c, const char *body, const fr_send_result_t *sent, int step) {
    say(c, "SENT\t%s\t%s\t%s\t%d\t%lld", body, status_of(sent), fr_send_result_msg_id(sent),
        (int)fr_queue_id(fr_send_result_queue(sent)), (long long)fr_send_result_queue_offset(sent) + step);
}

static fr_client_t *connect_client(struct command *c) {
    fr_client_t *client = NULL;
    fr_config_t *config = fr_config_new();
    char name[64];
    snprintf(name, sizeof name, "i%s", c->id);
    TRY(fr_config_set(config, "namesrvAddr", get(c, "--namesrv", ""), where));
    TRY(fr_config_set(config, "instanceName", name, where));
    TRY(fr_config_set(config, "accessKey", get(c, "--access-key", ""), where));
    TRY(fr_config_set(config, "secretKey", get(c, "--secret-key", ""), where));
    TRY(fr_config_set(config, "namespace", get(c, "--namespace", ""), where));
    TRY(fr_config_set(config, "unitName", get(c, "--unit", ""), where));
    TRY(fr_config_set(config, "unitMode", *get(c, "--unit", "") ? "true" : "false", where));
    TRY(fr_config_set(config, "enableTrace", get(c, "--trace", "false"), where));
    if (*get(c, "--ca", "") != 0) {
        TRY(fr_config_set(config, "useTLS", "true", where));
        TRY(fr_config_set(config, "tls.client.authServer", "true", where));
        TRY(fr_config_set(config, "tls.client.anyHostName", "true", where));
        TRY(fr_config_set(config, "tls.client.trustCertPath", get(c, "--ca", ""), where));
        TRY(fr_config_set(config, "tls.client.certPath", get(c, "--certificate", ""), where));
        TRY(fr_config_set(config, "tls.client.keyPath", get(c, "--key", ""), where));
    }
    TRY(fr_client_new(config, &client, where));
failed:
    fr_config_free(config);
    return client;
}

static fr_config_t *producer_config(struct command *c) {
    fr_config_t *config = fr_config_new();
    TRY(fr_config_set(config, "sendMsgTimeout", "10000", where));
    TRY(fr_config_set(config, "compressMsgBodyOverHowmuch", "2147483647", where));
    TRY(fr_config_set(config, "maxMessageSize", "15728640", where));
    return config;
failed:
    fr_config_free(config);
    return NULL;
}

/* A message with a body padded as --length says. */
static fr_message_t *make(struct command *c, const char *body) {
    size_t len = strlen(body), wanted = (size_t)number(c, "--length");
    size_t whole = wanted > len ? wanted : len;
    fr_message_t *message = NULL;
    char *padded = malloc(whole + 1);
    memset(padded, '.', whole);
    memcpy(padded, body, len);
    TRY(fr_message_new(get(c, "--topic", ""), padded, whole, &message, where));
    if (number(c, "--delay-level") > 0) {
        TRY(fr_message_set_delay_level(message, (uint32_t)number(c, "--delay-level"), where));
    }
    if (get(c, "--tag", NULL) != NULL) {
        TRY(fr_message_set_tags(message, get(c, "--tag", ""), where));
    }
    free(padded);
    return message;
failed:
    free(padded);
    fr_message_free(message);
    return NULL;
}

/* What an asynchronous send is about. */
struct pending {
    struct command *command;
    char body[BODY_MAX];
};

static void sent_async(const fr_send_result_t *result, const fr_error_t *failure, void *user) {
    struct pending *pending = user;
    struct command *c = pending->command;
    if (result != NULL) {
        report_sent(c, pending->body, result, 0);
    } else {
        say(c, "SENT\t%s\tEXCEPTION %s", pending->body, fr_error_message(failure));
    }
    pthread_mutex_lock(&c->lock);
    c->pending--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    free(pending);
}

static int send_async(struct command *c, fr_producer_t *producer, const fr_message_t *message, const char *body) {
    struct pending *pending = malloc(sizeof *pending);
    pending->command = c;
    strcpy(pending->body, body);
    pthread_mutex_lock(&c->lock);
    c->pending++;
    pthread_mutex_unlock(&c->lock);
    TRY(fr_producer_send_async(producer, message, sent_async, pending, where));
    return 1;
failed:
    free(pending);
    return 0;
}

/* Sends to the queue of all messages with this key. */
static int send_keyed(struct command *c, fr_producer_t *producer, const fr_message_t *message, int key,
                      fr_send_terms_t *terms, fr_send_result_t **sent) {
    char text[BODY_MAX];
    snprintf(text, sizeof text, "%d", key);
    TRY(fr_send_terms_set_ordered_by(terms, text, where));
    TRY(fr_producer_send_with(producer, message, terms, sent, where));
    return 1;
failed:
    return 0;
}

static void send_messages(struct command *c) {
    const char *mode = get(c, "--mode", "sync");
    int count = number(c, "--count"), at, step, batched = 0, ended = 0;
    fr_client_t *client = connect_client(c);
    fr_config_t *config = producer_config(c);
    fr_producer_t *producer = NULL;
    fr_send_terms_t *terms = fr_send_terms_new();
    fr_message_t *message = NULL, *batch[BATCH];
    fr_send_result_t *sent = NULL;
    fr_message_ext_t *answer = NULL;
    char body[BODY_MAX], bodies[BATCH][BODY_MAX];
    if (client == NULL || config == NULL) {
        goto failed;
    }
    TRY(fr_producer_start(client, get(c, "--group", ""), config, &producer, where));
    for (at = 0; at < count && !ended; at++) {
        if (strcmp(mode, "orderly") == 0) {
            snprintf(body, sizeof body, "%s-%d-%d", get(c, "--prefix", ""), at % KEYS, at / KEYS);
        } else {
            snprintf(body, sizeof body, "%s-%d", get(c, "--prefix", ""), at);
        }
        if ((message = make(c, body)) == NULL) {
            goto failed;
        }
        if (strcmp(mode, "sync") == 0) {
            TRY(fr_producer_send(producer, message, &sent, where));
            report_sent(c, body, sent, 0);
        } else if (strcmp(mode, "async") == 0) {
            if (!send_async(c, producer, message, body)) {
                goto failed;
            }
        } else if (strcmp(mode, "oneway") == 0) {
            TRY(fr_producer_send_oneway(producer, message, where));
            say(c, "SENT\t%s\tONEWAY", body);
        } else if (strcmp(mode, "orderly") == 0) {
            if (!send_keyed(c, producer, message, at % KEYS, terms, &sent)) {
                goto failed;
            }
            report_sent(c, body, sent, 0);
        } else if (strcmp(mode, "request") == 0) {
            size_t len;
            const char *text;
            TRY(fr_producer_request(producer, message, 30000, &answer, where));
            say(c, "SENT\t%s\tSEND_OK", body);
            text = fr_message_ext_body(answer, &len);
            say(c, "RECV\t%.*s\t0\t0\t0\t-", (int)len, text);
            fr_message_ext_free(answer);
            answer = NULL;
        } else if (strcmp(mode, "batch") == 0) {
            strcpy(bodies[batched], body);
            batch[batched++] = message;
            message = NULL;
            if (batched == BATCH || at + 1 == count) {
                TRY(fr_producer_send_batch(producer, (const fr_message_t *const *)batch, (size_t)batched, &sent, where));
                for (step = 0; step < batched; step++) {
                    report_sent(c, bodies[step], sent, step);
                    fr_message_free(batch[step]);
                }
                batched = 0;
            }
        } else {
            say(c, "ERROR\tunknown mode %s", mode);
            goto failed;
        }
        fr_send_result_free(sent);
        sent = NULL;
        fr_message_free(message);
        message = NULL;
        ended = stopped_within(c, number(c, "--interval-ms"));
    }
    pthread_mutex_lock(&c->lock);
    while (c->pending > 0) {
        pthread_cond_wait(&c->changed, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    if (get(c, "--stay", NULL) != NULL) {
        stopped_within(c, -1);
    }
    TRY(fr_producer_close(producer, where));
    TRY(fr_client_close(client, where));
    say(c, "DONE");
failed:
    while (batched > 0) {
        fr_message_free(batch[--batched]);
    }
    fr_send_result_free(sent);
    fr_message_free(message);
    fr_send_terms_free(terms);
    fr_producer_free(producer);
    fr_config_free(config);
    fr_client_free(client);
}

static int32_t decision(const struct command *c, const char *option) {
    return is(c, option, "COMMIT_MESSAGE") ? FR_COMMIT : is(c, option, "ROLLBACK_MESSAGE") ? FR_ROLLBACK : FR_LATER;
}

static int32_t check(const fr_delivery_t *asked, void *user) {
    struct command *c = user;
    size_t len;
    const char *body = fr_message_ext_body(fr_messages_at(fr_delivery_messages(asked), 0), &len);
    say(c, "TOLD\tchecked\t%.*s", (int)len, body);
    return decision(c, "--check");
}

static void send_in_transaction(struct command *c) {
    fr_client_t *client = connect_client(c);
    fr_config_t *config = producer_config(c);
    fr_transaction_producer_t *producer = NULL;
    fr_transaction_t *transaction = NULL;
    fr_message_t *message = NULL;
    char body[BODY_MAX];
    int at;
    if (client == NULL || config == NULL) {
        goto failed;
    }
    TRY(fr_transaction_producer_start(client, get(c, "--group", ""), config, &producer, where));
    TRY(fr_transaction_producer_handle(producer, 1, check, c, where));
    for (at = 0; at < number(c, "--count"); at++) {
        const fr_send_result_t *half;
        snprintf(body, sizeof body, "%s-%d", get(c, "--prefix", ""), at);
        TRY(fr_message_new(get(c, "--topic", ""), body, strlen(body), &message, where));
        TRY(fr_transaction_begin(producer, message, &transaction, where));
        TRY(fr_transaction_end(transaction, decision(c, "--local"), where));
        /* The offset it is told is the half message's. */
        half = fr_transaction_half(transaction);
        say(c, "SENT\t%s\t%s\t%s\t-\t-", body, status_of(half), fr_send_result_msg_id(half));
        fr_transaction_free(transaction);
        transaction = NULL;
        fr_message_free(message);
        message = NULL;
    }
    stopped_within(c, -1);
    TRY(fr_transaction_producer_close(producer, where));
    TRY(fr_client_close(client, where));
    say(c, "DONE");
failed:
    fr_message_free(message);
    fr_transaction_free(transaction);
    fr_transaction_producer_free(producer);
    fr_config_free(config);
    fr_client_free(client);
}

/* Reports a delivery and decides whether it succeeds. */
static int accept_message(struct command *c, const fr_message_ext_t *m) {
    char body[BODY_MAX];
    size_t len, bare;
    const char *bytes = fr_message_ext_body(m, &len), *tag = fr_message_ext_tags(m);
    struct timespec now;
    int at, ok;
    bare = len;
    if (get(c, "--length", NULL) != NULL) {
        while (bare > 0 && bytes[bare - 1] == '.') {
            bare--;
        }
    }
    if (bare != len && len != (size_t)number(c, "--length")) {
        /* Nobody sent such a body: the ledger will say so. */
        snprintf(body, sizeof body, "%.*s!%d", (int)bare, bytes, (int)len);
    } else {
        snprintf(body, sizeof body, "%.*s", (int)bare, bytes);
    }
    clock_gettime(CLOCK_REALTIME, &now);
    say(c, "RECV\t%s\t%d\t%lld\t%d\t%s\t%lld", body, (int)fr_message_ext_queue_id(m),
        (long long)fr_message_ext_queue_offset(m), (int)fr_message_ext_reconsume_times(m),
        tag == NULL || *tag == 0 ? "-" : tag,
        (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (long long)fr_message_ext_born_timestamp(m));
    pthread_mutex_lock(&c->lock);
    for (at = 0; at < c->bodies && strcmp(c->counts[at].body, body) != 0; at++) {
    }
    if (at == c->bodies && at < BODIES_MAX) {
        strcpy(c->counts[c->bodies++].body, body);
    }
    ok = at == BODIES_MAX || ++c->counts[at].times > number(c, "--fail-times");
    pthread_mutex_unlock(&c->lock);
    return ok;
}

static int32_t consume_one(const fr_delivery_t *delivery, void *user) {
    return accept_message(user, fr_messages_at(fr_delivery_messages(delivery), 0)) ? FR_SUCCESS : FR_LATER;
}

/* Answers a request with `re-` and its body. The Broker does not know an asker that has sent no heartbeat yet: the
 * answer is tried for some time. */
static int32_t reply_one(const fr_delivery_t *delivery, void *user) {
    struct command *c = user;
    const fr_message_ext_t *request = fr_messages_at(fr_delivery_messages(delivery), 0);
    size_t len;
    const char *bytes = fr_message_ext_body(request, &len);
    fr_message_t *answer = NULL;
    fr_send_result_t *sent = NULL;
    char body[BODY_MAX];
    int left;
    accept_message(c, request);
    snprintf(body, sizeof body, "re-%.*s", (int)len, bytes);
    TRY(fr_message_ext_reply(request, body, strlen(body), &answer, where));
    for (left = ANSWER_TRIES; left > 0; left--) {
        if (fr_producer_send(c->answering, answer, &sent, NULL) == FR_OK) {
            say(c, "SENT\t%s\t%s", body, status_of(sent));
            fr_send_result_free(sent);
            fr_message_free(answer);
            return FR_SUCCESS;
        }
        pause_ms(250);
    }
    TRY(fr_producer_send(c->answering, answer, &sent, where));
    fr_send_result_free(sent);
failed:
    fr_message_free(answer);
    return FR_LATER;
}

static fr_config_t *consumer_config(struct command *c) {
    fr_config_t *config = fr_config_new();
    const char *sql = get(c, "--sql", NULL);
    TRY(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", where));
    TRY(fr_config_subscribe(config, get(c, "--topic", ""), sql != NULL ? sql : get(c, "--expression", "*"),
                            sql != NULL ? FR_SQL92 : FR_TAG, where));
    return config;
failed:
    fr_config_free(config);
    return NULL;
}

/* A consumer that polls and commits what it got. */
static void consume_lite(struct command *c) {
    fr_client_t *client = connect_client(c);
    fr_config_t *config = consumer_config(c);
    fr_lite_pull_consumer_t *consumer = NULL;
    fr_messages_t *messages;
    size_t at, count;
    if (client == NULL || config == NULL) {
        goto failed;
    }
    TRY(fr_config_set(config, "autoCommit", "false", where));
    TRY(fr_lite_pull_consumer_start(client, get(c, "--group", ""), config, &consumer, where));
    say(c, "READY");
    while (!stopped_within(c, 0)) {
        TRY(fr_lite_pull_consumer_poll(consumer, 200, &messages, where));
        count = fr_messages_count(messages);
        for (at = 0; at < count; at++) {
            accept_message(c, fr_messages_at(messages, at));
        }
        fr_messages_free(messages);
        if (count > 0) {
            TRY(fr_lite_pull_consumer_commit(consumer, where));
        }
    }
    TRY(fr_lite_pull_consumer_close(consumer, where));
    TRY(fr_client_close(client, where));
    say(c, "STOPPED");
failed:
    fr_lite_pull_consumer_free(consumer);
    fr_config_free(config);
    fr_client_free(client);
}

static void consume(struct command *c, fr_handler_t handler) {
    int32_t order = is(c, "--mode", "orderly") ? FR_ORDERLY : FR_CONCURRENTLY;
    fr_client_t *client = connect_client(c);
    fr_config_t *config = consumer_config(c);
    fr_push_consumer_t *consumer = NULL;
    char group[64];
    if (client == NULL || config == NULL) {
        goto failed;
    }
    if (handler == reply_one) {
        snprintf(group, sizeof group, "answers-%s", c->id);
        TRY(fr_producer_start(client, group, NULL, &c->answering, where));
    }
    if (get(c, "--max-reconsume", NULL) != NULL) {
        TRY(fr_config_set(config, "maxReconsumeTimes", get(c, "--max-reconsume", ""), where));
    }
    if (is(c, "--mode", "broadcast")) {
        TRY(fr_config_set(config, "messageModel", "BROADCASTING", where));
    }
    TRY(fr_push_consumer_start(client, get(c, "--group", ""), config, order, &consumer, where));
    TRY(fr_push_consumer_handle(consumer, 4, handler, c, where));
    say(c, "READY");
    stopped_within(c, -1);
    TRY(fr_push_consumer_close(consumer, where));
    TRY(fr_client_close(client, where));
    say(c, "STOPPED");
failed:
    fr_push_consumer_free(consumer);
    fr_producer_free(c->answering);
    fr_config_free(config);
    fr_client_free(client);
}

static void *run(void *user) {
    struct command *c = user;
    if (strcmp(c->role, "send") == 0) {
        if (is(c, "--mode", "transaction")) {
            send_in_transaction(c);
        } else {
            send_messages(c);
        }
    } else if (strcmp(c->role, "consume") == 0) {
        if (is(c, "--mode", "lite")) {
            consume_lite(c);
        } else {
            consume(c, consume_one);
        }
    } else if (strcmp(c->role, "reply") == 0) {
        consume(c, reply_one);
    } else {
        say(c, "ERROR\tunknown command %s", c->role);
    }
    return NULL;
}

static void stop(struct command *c) {
    pthread_mutex_lock(&c->lock);
    c->stopped = 1;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static void log_line(int32_t level, const char *target, const char *text, void *user) {
    (void)user;
    fprintf(stderr, "%d %s: %s\n", (int)level, target, text);
}

int main(void) {
    struct command *all = NULL, *c;
    char *line = NULL;
    size_t room = 0;
    fr_log_handle(3, log_line, NULL, NULL);
    while (getline(&line, &room, stdin) > 0) {
        char *words = strdup(line), *end = NULL, *id, *role, *name, *value;
        words[strcspn(words, "\n")] = 0;
        id = strtok_r(words, "\t", &end);
        role = strtok_r(NULL, "\t", &end);
        if (role == NULL) {
            free(words);
            continue;
        }
        if (strcmp(role, "stop") == 0) {
            for (c = all; c != NULL && strcmp(c->id, id) != 0; c = c->next) {
            }
            if (c != NULL) {
                stop(c);
            }
            free(words);
            continue;
        }
        c = calloc(1, sizeof *c);
        c->id = id;
        c->role = role;
        while ((name = strtok_r(NULL, "\t", &end)) != NULL && (value = strtok_r(NULL, "\t", &end)) != NULL &&
               c->options < OPTIONS_MAX) {
            c->names[c->options] = name;
            c->values[c->options++] = value;
        }
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->changed, NULL);
        c->next = all;
        all = c;
        pthread_create(&c->thread, NULL, run, c);
    }
    for (c = all; c != NULL; c = c->next) {
        stop(c);
    }
    /* The harness kills what takes too long. */
    for (c = all; c != NULL; c = c->next) {
        pthread_join(c->thread, NULL);
    }
    return 0;
}
