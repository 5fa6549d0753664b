// SPDX-License-Identifier: Apache-2.0
// Work for other threads: a few threads that take tasks in order, and the way
// back to the engine's own thread. Internal to p2p's disk layer.
// Tested by tests/p2p/disk_io_test.cc.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "p2p/lt_bridge.h"

namespace p2p {

// A callable that is run once and only ever moved: what libtorrent's handlers
// hold must neither be copied nor die on another thread.
class Task {
 public:
  Task() = default;
  template <typename F>
  requires(!std::is_same_v<std::decay_t<F>, Task>) explicit Task(F&& body)
      : body_(std::make_unique<Body<std::decay_t<F>>>(std::forward<F>(body))) {}

  void operator()() { body_->Run(); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void Run() = 0;
  };
  template <typename F>
  struct Body final : Base {
    explicit Body(F body) : body_(std::move(body)) {}
    void Run() override { body_(); }
    F body_;
  };
  std::unique_ptr<Base> body_;
};

// Runs tasks in the order in which they were added. Thread-safe.
class TaskThreads {
 public:
  explicit TaskThreads(size_t num_threads);
  ~TaskThreads() { Drain(); }
  TaskThreads(const TaskThreads&) = delete;
  TaskThreads& operator=(const TaskThreads&) = delete;

  void Add(Task task);
  // Runs all tasks, those that they add as well, then ends the threads.
  void Drain();

 private:
  void Run();

  std::mutex mu_;
  std::condition_variable changed_;
  // All below guarded by mu_.
  std::deque<Task> tasks_;
  size_t running_ = 0;
  bool draining_ = false;
  std::vector<std::jthread> threads_;  // set once, joined by Drain
};

// Hands tasks to the engine's thread, many at a time: waking it for each block
// would cost more than the block. Thread-safe.
class Completions {
 public:
  explicit Completions(lt::io_context& context)
      : context_(context), queue_(std::make_shared<Queue>()) {}

  void Add(Task task);

 private:
  struct Queue {
    std::mutex mu;
    std::vector<Task> tasks;  // guarded by mu
  };
  lt::io_context& context_;
  // Shared with what was posted, which may run after this is gone.
  std::shared_ptr<Queue> queue_;
};

}  // namespace p2p
