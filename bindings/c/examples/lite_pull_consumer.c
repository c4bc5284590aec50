/* Polls for messages, commits by itself and goes back to the beginning of a queue. */
#include "example.h"

static size_t poll_once(fr_lite_pull_consumer_t *consumer) {
    fr_messages_t *messages;
    size_t count;
    TRY(fr_lite_pull_consumer_poll(consumer, 5000, &messages, &error));
    count = fr_messages_count(messages);
    fr_messages_free(messages);
    return count;
}

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_lite_pull_consumer_t *consumer;
    fr_config_t *config = fr_config_new();
    fr_message_t *message;
    fr_send_result_t *sent;
    fr_queues_t *queues;
    size_t at;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "audited", NULL, &producer, &error));
    TRY(fr_message_new("Audit", "entry", 5, &message, &error));
    TRY(fr_producer_send(producer, message, &sent, &error));

    TRY(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    TRY(fr_config_set(config, "autoCommit", "false", &error));
    TRY(fr_config_subscribe(config, "Audit", "*", FR_TAG, &error));
    TRY(fr_lite_pull_consumer_start(client, "audit", config, &consumer, &error));
    while (poll_once(consumer) == 0) {
    }
    TRY(fr_lite_pull_consumer_commit(consumer, &error));

    TRY(fr_lite_pull_consumer_assignment(consumer, &queues, &error));
    for (at = 0; at < fr_queues_count(queues); at++) {
        TRY(fr_lite_pull_consumer_seek_to_begin(consumer, fr_queues_at(queues, at), &error));
    }
    printf("again %d\n", (int)poll_once(consumer));

    fr_queues_free(queues);
    fr_send_result_free(sent);
    fr_message_free(message);
    fr_lite_pull_consumer_free(consumer);
    fr_producer_free(producer);
    fr_client_free(client);
    fr_config_free(config);
    return 0;
}
