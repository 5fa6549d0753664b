// SPDX-License-Identifier: Apache-2.0
#include "p2p/disk_tasks.h"

#include <boost/asio/post.hpp>

namespace p2p {

TaskThreads::TaskThreads(size_t num_threads) {
  for (size_t i = 0; i < num_threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

void TaskThreads::Add(Task task) {
  {
    const std::lock_guard lock(mu_);
    tasks_.push_back(std::move(task));
  }
  changed_.notify_one();
}

void TaskThreads::Drain() {
  {
    const std::lock_guard lock(mu_);
    draining_ = true;
  }
  changed_.notify_all();
  for (std::jthread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void TaskThreads::Run() {
  std::unique_lock lock(mu_);
  while (true) {
    changed_.wait(lock, [this] {
      return !tasks_.empty() || (draining_ && running_ == 0);
    });
    if (tasks_.empty()) {
      changed_.notify_all();
      return;
    }
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    ++running_;
    lock.unlock();
    task();
    task = Task();
    lock.lock();
    --running_;
    if (draining_ && running_ == 0 && tasks_.empty()) changed_.notify_all();
  }
}

void Completions::Add(Task task) {
  {
    const std::lock_guard lock(queue_->mu);
    queue_->tasks.push_back(std::move(task));
    if (queue_->tasks.size() > 1) return;  // one is on its way already
  }
  boost::asio::post(context_, [queue = queue_] {
    std::vector<Task> tasks;
    {
      const std::lock_guard lock(queue->mu);
      tasks.swap(queue->tasks);
    }
    for (Task& done : tasks) done();
  });
}

}  // namespace p2p
