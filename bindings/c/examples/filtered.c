/* Broadcasting consumers, and those that want some messages only: by tags, or by a condition (SQL92). */
#include "example.h"

/* Takes one message and says what it is. */
static void take(fr_push_consumer_t *consumer) {
    fr_delivery_t *delivery;
    size_t count = 0, len;
    const char *body;
    while (count == 0) {
        TRY(fr_push_consumer_poll(consumer, &delivery, 1, 1000, &count, &error));
    }
    body = fr_message_ext_body(fr_messages_at(fr_delivery_messages(delivery), 0), &len);
    printf("%.*s\n", (int)len, body);
    TRY(fr_delivery_answer(delivery, FR_SUCCESS, 0, &error));
    fr_push_consumer_free(consumer);
}

static fr_config_t *wanting(const char *expression, int32_t kind) {
    fr_config_t *config = fr_config_new();
    TRY(fr_config_set(config, "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET", &error));
    TRY(fr_config_subscribe(config, "Parcels", expression, kind, &error));
    return config;
}

int main(void) {
    fr_client_t *client;
    fr_producer_t *producer;
    fr_push_consumer_t *consumer;
    fr_config_t *tags = wanting("express || fragile", FR_TAG), *sql = wanting("weight > 20", FR_SQL92);
    fr_message_t *light, *heavy;
    fr_send_result_t *sent;

    TRY(fr_client_new(NULL, &client, &error));
    TRY(fr_producer_start(client, "parcels", NULL, &producer, &error));
    TRY(fr_message_new("Parcels", "a vase", 6, &light, &error));
    TRY(fr_message_set_tags(light, "fragile", &error));
    TRY(fr_producer_send(producer, light, &sent, &error));
    fr_send_result_free(sent);
    TRY(fr_message_new("Parcels", "an anvil", 8, &heavy, &error));
    TRY(fr_message_set_property(heavy, "weight", "75", &error));
    TRY(fr_producer_send(producer, heavy, &sent, &error));
    fr_send_result_free(sent);

    TRY(fr_push_consumer_start(client, "careful", tags, FR_CONCURRENTLY, &consumer, &error));
    take(consumer);
    /* Brokers filter so with enablePropertyFilter=true. */
    TRY(fr_push_consumer_start(client, "strong", sql, FR_CONCURRENTLY, &consumer, &error));
    take(consumer);
    /* Every consumer of a broadcasting group gets every message; its offsets are in a file. */
    TRY(fr_config_set(tags, "messageModel", "BROADCASTING", &error));
    TRY(fr_push_consumer_start(client, "watching", tags, FR_CONCURRENTLY, &consumer, &error));
    take(consumer);

    fr_message_free(light);
    fr_message_free(heavy);
    fr_producer_free(producer);
    fr_client_free(client);
    fr_config_free(tags);
    fr_config_free(sql);
    return 0;
}
