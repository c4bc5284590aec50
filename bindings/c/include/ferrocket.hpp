// For C++11 and later: owners that free what they have, errors as exceptions, and handlers that may throw.
//
// Everything else is ferrocket.h, which these work with: an owner's get() is what its functions take.
//
//   fr::Config config(fr_config_new());
//   fr::call(fr_config_set, config.get(), "namesrvAddr", "127.0.0.1:9876");
//   fr::Client client = fr::make<fr_client_t>(fr_client_new, config.get());
//
// No part of the library's binary interface: it is compiled with the program.
#ifndef FERROCKET_HPP
#define FERROCKET_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>

#include "ferrocket.h"

namespace fr {

/// How a handle of each kind is freed.
struct Free {
#define FR_FREED_BY(kind) \
    void operator()(fr_##kind##_t *handle) const { fr_##kind##_free(handle); }
    FR_FREED_BY(client)
    FR_FREED_BY(completion)
    FR_FREED_BY(config)
    FR_FREED_BY(delivery)
    FR_FREED_BY(error)
    FR_FREED_BY(event)
    FR_FREED_BY(events)
    FR_FREED_BY(lite_pull_consumer)
    FR_FREED_BY(message)
    FR_FREED_BY(message_ext)
    FR_FREED_BY(messages)
    FR_FREED_BY(names)
    FR_FREED_BY(offsets)
    FR_FREED_BY(producer)
    FR_FREED_BY(push_consumer)
    FR_FREED_BY(queue)
    FR_FREED_BY(queues)
    FR_FREED_BY(send_result)
    FR_FREED_BY(send_terms)
    FR_FREED_BY(testing_broker)
    FR_FREED_BY(transaction)
    FR_FREED_BY(transaction_producer)
#undef FR_FREED_BY
};

/// The owner of a handle: it goes with it.
template <typename T>
using Owner = std::unique_ptr<T, Free>;

using Client = Owner<fr_client_t>;
using Completion = Owner<fr_completion_t>;
using Config = Owner<fr_config_t>;
using Delivery = Owner<fr_delivery_t>;
using LitePullConsumer = Owner<fr_lite_pull_consumer_t>;
using Message = Owner<fr_message_t>;
using MessageExt = Owner<fr_message_ext_t>;
using Messages = Owner<fr_messages_t>;
using Producer = Owner<fr_producer_t>;
using PushConsumer = Owner<fr_push_consumer_t>;
using Queue = Owner<fr_queue_t>;
using Queues = Owner<fr_queues_t>;
using SendResult = Owner<fr_send_result_t>;
using SendTerms = Owner<fr_send_terms_t>;
using TestingBroker = Owner<fr_testing_broker_t>;
using Transaction = Owner<fr_transaction_t>;
using TransactionProducer = Owner<fr_transaction_producer_t>;

/// Why a call failed, with the details of fr_error_t.
class Error : public std::runtime_error {
public:
    explicit Error(Owner<fr_error_t> error)
        : std::runtime_error(error ? fr_error_message(error.get()) : "no details"), error_(std::move(error)) {}

    fr_status_t status() const { return fr_error_status(error_.get()); }
    bool is_retryable() const { return fr_error_is_retryable(error_.get()); }
    /// For the other fr_error_... functions.
    const fr_error_t *get() const { return error_.get(); }

private:
    std::shared_ptr<fr_error_t> error_;
};

/// Calls a function that can fail, without its last argument.
template <typename F, typename... A>
void call(F function, A... arguments) {
    fr_error_t *error = nullptr;
    if (function(arguments..., &error) != FR_OK) {
        throw Error(Owner<fr_error_t>(error));
    }
}

/// Calls a function that gives a handle of this kind, without its last two arguments.
template <typename T, typename F, typename... A>
Owner<T> make(F function, A... arguments) {
    T *handle = nullptr;
    call(function, arguments..., &handle);
    return Owner<T>(handle);
}

/// A handler for fr_push_consumer_handle and fr_transaction_producer_handle; what it throws counts as FR_LATER.
/// It must live until the consumer was closed.
class Handler {
public:
    explicit Handler(std::function<int32_t(const fr_delivery_t *)> handle) : handle_(std::move(handle)) {}

    /// With a pointer to the Handler as the user's word.
    static int32_t call(const fr_delivery_t *delivery, void *handler) noexcept {
        try {
            return static_cast<Handler *>(handler)->handle_(delivery);
        } catch (...) {
            return FR_LATER;
        }
    }

private:
    std::function<int32_t(const fr_delivery_t *)> handle_;
};

} // namespace fr

#endif // FERROCKET_HPP
