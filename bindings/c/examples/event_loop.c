/* Consumes in an event loop (epoll): no thread of the library runs code of the program. */
#include <sys/epoll.h>
#include <unistd.h>

#include "example.h"

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_push_consumer_t *consumer;
    fr_config_t *config = fr_config_new();
    fr_message_t *message;
    fr_send_result_t *sent;
    fr_delivery_t *batch[32];
    struct epoll_event event;
    int loop = epoll_create1(0), consumed = 0, number;
    size_t count, at;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "meters", NULL, &producer, &error));
    TRY(fr_message_new("Readings", "21.5", 4, &message, &error));
    for (number = 0; number < 100; number++) {
        TRY(fr_producer_send(producer, message, &sent, &error));
        fr_send_result_free(sent);
    }

    TRY(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    TRY(fr_config_subscribe(config, "Readings", "*", FR_TAG, &error));
    TRY(fr_push_consumer_start(client, "charts", config, FR_CONCURRENTLY, &consumer, &error));
    /* ANCHOR: loop */
    event.events = EPOLLIN;
    event.data.ptr = consumer;
    epoll_ctl(loop, EPOLL_CTL_ADD, fr_push_consumer_fd(consumer), &event);
    while (consumed < 100) {
        if (epoll_wait(loop, &event, 1, -1) < 1) {
            continue;
        }
        /* It may be readable without a delivery; then this takes none. */
        TRY(fr_push_consumer_poll(event.data.ptr, batch, 32, 0, &count, &error));
        for (at = 0; at < count; at++) {
            size_t len;
            fr_message_ext_body(fr_messages_at(fr_delivery_messages(batch[at]), 0), &len);
            consumed += len == 4;
        }
        TRY(fr_deliveries_ack((fr_delivery_t *const *)batch, count, &error));
    }
    /* ANCHOR_END: loop */
    printf("%d readings\n", consumed);

    close(loop);
    fr_push_consumer_free(consumer);
    fr_message_free(message);
    fr_producer_free(producer);
    fr_client_free(client);
    fr_config_free(config);
    return 0;
}
