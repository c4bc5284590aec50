/* Sends several messages as one request: they are stored next to each other, all or none. And one without a receipt. */
#include "example.h"

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_message_t *messages[3];
    fr_send_result_t *sent;
    int at;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "order-service", NULL, &producer, &error));
    for (at = 0; at < 3; at++) {
        TRY(fr_message_new("Orders", "paid", 4, &messages[at], &error));
    }
    TRY(fr_producer_send_batch(producer, (const fr_message_t *const *)messages, 3, &sent, &error));
    printf("the first is number %lld of its queue\n", (long long)fr_send_result_queue_offset(sent));
    TRY(fr_producer_send_oneway(producer, messages[0], &error));

    fr_send_result_free(sent);
    for (at = 0; at < 3; at++) {
        fr_message_free(messages[at]);
    }
    fr_producer_free(producer);
    fr_client_free(client);
    return 0;
}
