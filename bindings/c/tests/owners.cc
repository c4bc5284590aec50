// ferrocket.hpp: owners free, errors are exceptions, and what a handler throws is no end of the process.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string>

#include "ferrocket.hpp"

static void check(bool holds, const char *what) {
    if (!holds) {
        std::cerr << what << " does not hold\n";
        std::exit(1);
    }
}

int main() {
    {
        fr::TestingBroker broker = fr::make<fr_testing_broker_t>(fr_testing_broker_start, (const fr_config_t *)nullptr);
        fr::Config config(fr_config_new());
        fr::call(fr_config_set, config.get(), "namesrvAddr", fr_testing_broker_namesrv_addr(broker.get()));
        fr::Client client = fr::make<fr_client_t>(fr_client_new, config.get());
        fr::Producer producer =
            fr::make<fr_producer_t>(fr_producer_start, client.get(), "p", (const fr_config_t *)nullptr);

        try {
            fr::make<fr_message_t>(fr_message_new, "\xff", "x", std::size_t(1));
            check(false, "a topic that is no text");
        } catch (const fr::Error &error) {
            check(error.status() == FR_ERROR_CONFIG && !error.is_retryable(), "the status");
            check(std::string(error.what()).find("UTF-8") != std::string::npos, "the reason");
            check(fr_error_code(error.get()) == -1, "the code");
        }

        fr::Message message = fr::make<fr_message_t>(fr_message_new, "Thrown", "x", std::size_t(1));
        fr::SendResult sent = fr::make<fr_send_result_t>(fr_producer_send, producer.get(), message.get());
        check(fr_send_result_status(sent.get()) == FR_SEND_OK, "the receipt");

        std::atomic<int> calls(0);
        fr::Handler handler([&](const fr_delivery_t *delivery) -> int32_t {
            const fr_message_ext_t *got = fr_messages_at(fr_delivery_messages(delivery), 0);
            if (calls++ == 0) {
                throw std::runtime_error("the first one fails");
            }
            check(fr_message_ext_reconsume_times(got) >= 1, "tried before");
            return FR_SUCCESS;
        });
        fr::Config consuming(fr_config_new());
        fr::call(fr_config_set, consuming.get(), "consumeFromWhere", "CONSUME_FROM_FIRST_OFFSET");
        fr::call(fr_config_subscribe, consuming.get(), "Thrown", "*", FR_TAG);
        fr::PushConsumer consumer = fr::make<fr_push_consumer_t>(
            fr_push_consumer_start, client.get(), "g", consuming.get(), FR_CONCURRENTLY);
        fr::call(fr_push_consumer_handle, consumer.get(), std::size_t(2), &fr::Handler::call, (void *)&handler);
        while (calls < 2) {
            fr::call(fr_testing_broker_advance, broker.get(), std::uint64_t(60000));
        }
        fr::call(fr_push_consumer_close, consumer.get());
        fr::call(fr_client_close, client.get());
    }
    fr::call(fr_stop, 5000u);
}
