// SPDX-License-Identifier: Apache-2.0
#include "p2p/tracker_state.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "p2p/bencode.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

// A keyed mix of 64-bit words: each round is a bijection that spreads every
// bit, and the start is secret.
uint64_t Mix(uint64_t state, uint64_t word) {
  state ^= word;
  state ^= state >> 32;
  state *= 0xd6e8feb86659fd93ULL;
  state ^= state >> 32;
  state *= 0xd6e8feb86659fd93ULL;
  return state ^ (state >> 32);
}

uint64_t MixBytes(uint64_t state, verify::ByteSpan bytes) {
  while (!bytes.empty()) {
    uint64_t word = 0;
    const size_t part = std::min(bytes.size(), sizeof word);
    std::memcpy(&word, bytes.data(), part);
    state = Mix(state, word);
    bytes = bytes.subspan(part);
  }
  return state;
}

uint32_t MinInterval(uint32_t interval_s) {
  return std::clamp<uint32_t>(interval_s / 2, 1, 60);
}

}  // namespace

size_t TrackerState::SwarmHash::operator()(const SwarmKey& key) const {
  return MixBytes(secret, key);
}

size_t TrackerState::PeerHash::operator()(const PeerKey& key) const {
  return Mix(MixBytes(MixBytes(secret, key.swarm->key), key.address.bytes),
             key.port);
}

size_t TrackerState::Swarm::size() const { return count(false) + count(true); }

TrackerState::TrackerState(const TrackerLimits& limits, uint64_t secret)
    : limits_(limits),
      random_(Mix(secret, 1)),
      allowed_(0, SwarmHash{secret}),
      swarms_(0, SwarmHash{secret}),
      index_(0, PeerHash{secret}) {}

uint64_t TrackerState::Random() {
  random_ += 0x9e3779b97f4a7c15ULL;
  return Mix(0, random_);
}

void TrackerState::Allow(const SwarmKey& swarm) {
  open_ = false;
  allowed_.insert(swarm);
}

bool TrackerState::Allowed(const SwarmKey& swarm) const {
  return open_ || allowed_.contains(swarm);
}

TrackerCounts TrackerState::counts() const {
  TrackerCounts counts = counts_;
  counts.swarms = swarms_.size();
  counts.peers = index_.size();
  return counts;
}

std::vector<uint32_t>& TrackerState::ListOf(const Peer& peer) {
  return peer.key.swarm->lists[peer.key.address.is_v6][peer.seed];
}

void TrackerState::AddToList(uint32_t index) {
  std::vector<uint32_t>& list = ListOf(peers_[index]);
  peers_[index].place = static_cast<uint32_t>(list.size());
  list.push_back(index);
}

void TrackerState::RemoveFromList(uint32_t index) {
  std::vector<uint32_t>& list = ListOf(peers_[index]);
  const uint32_t place = peers_[index].place;
  list[place] = list.back();
  peers_[list[place]].place = place;
  list.pop_back();
}

void TrackerState::Unlink(uint32_t index) {
  const Peer& peer = peers_[index];
  (peer.older == kNone ? oldest_ : peers_[peer.older].newer) = peer.newer;
  (peer.newer == kNone ? newest_ : peers_[peer.newer].older) = peer.older;
}

void TrackerState::LinkNewest(uint32_t index) {
  peers_[index].older = newest_;
  peers_[index].newer = kNone;
  (newest_ == kNone ? oldest_ : peers_[newest_].newer) = index;
  newest_ = index;
}

void TrackerState::Remove(uint32_t index) {
  RemoveFromList(index);
  Unlink(index);
  index_.erase(peers_[index].key);
  free_.push_back(index);
}

void TrackerState::ForgetIfEmpty(const SwarmKey& key) {
  const auto found = swarms_.find(key);
  if (found != swarms_.end() && found->second.size() == 0) {
    swarms_.erase(found);
  }
}

void TrackerState::Expire(uint32_t now_s) {
  const uint64_t silence_s = uint64_t{2} * limits_.interval_s + 60;
  while (oldest_ != kNone && peers_[oldest_].seen_s + silence_s < now_s) {
    const SwarmKey key = peers_[oldest_].key.swarm->key;
    Remove(oldest_);
    ForgetIfEmpty(key);
  }
}

bool TrackerState::Renew(Swarm& swarm, const PeerKey& key, bool seed,
                         uint32_t now_s) {
  if (const auto found = index_.find(key); found != index_.end()) {
    Peer& peer = peers_[found->second];
    if (peer.seed != seed) {
      RemoveFromList(found->second);
      peer.seed = seed;
      AddToList(found->second);
    }
    peer.seen_s = now_s;
    Unlink(found->second);
    LinkNewest(found->second);
    return true;
  }
  if (index_.size() >= limits_.max_peers ||
      swarm.size() >= limits_.max_peers_per_swarm) {
    return false;
  }
  uint32_t index = static_cast<uint32_t>(peers_.size());
  if (free_.empty()) {
    peers_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  peers_[index] = Peer{.key = key, .seen_s = now_s, .seed = seed};
  index_.emplace(key, index);
  AddToList(index);
  LinkNewest(index);
  return true;
}

// From a random place on, round the list: all are equally likely.
void TrackerState::Choose(const std::vector<uint32_t>& list, uint32_t self,
                          bool v6, uint32_t& wanted, std::string& out) {
  if (list.empty()) return;
  size_t at = Random() % list.size();
  for (size_t i = 0; i < list.size() && wanted > 0; ++i) {
    const uint32_t index = list[at];
    at = at + 1 == list.size() ? 0 : at + 1;
    if (index == self) continue;
    const PeerKey& key = peers_[index].key;
    out += verify::AsText(
        verify::ByteSpan(key.address.bytes).first(v6 ? size_t{16} : size_t{4}));
    out.push_back(static_cast<char>(key.port >> 8));
    out.push_back(static_cast<char>(key.port & 0xff));
    --wanted;
  }
}

std::string TrackerState::Announce(const AnnounceRequest& request,
                                   const PeerAddress& from, uint32_t now_s) {
  Expire(now_s);
  ++counts_.announces;
  if (!Allowed(request.swarm)) {
    ++counts_.refused;
    return TrackerFailure("this tracker does not serve that info-hash");
  }
  if (swarms_.size() >= limits_.max_swarms &&
      !swarms_.contains(request.swarm)) {
    ++counts_.refused;
    return TrackerFailure("this tracker is full: too many swarms");
  }
  Swarm& swarm = swarms_[request.swarm];
  swarm.key = request.swarm;
  const PeerKey key{&swarm, from, request.port};
  const bool seed = request.left == 0;
  const auto known = index_.find(key);
  bool room = true;
  if (request.event == AnnounceEvent::kStopped) {
    if (known != index_.end()) Remove(known->second);
  } else {
    // Counted once: who says it again was a seed already.
    if (request.event == AnnounceEvent::kCompleted && seed &&
        known != index_.end() && !peers_[known->second].seed) {
      ++swarm.downloaded;
    }
    room = Renew(swarm, key, seed, now_s);
  }

  std::array<std::string, 2> peers;
  if (request.event != AnnounceEvent::kStopped) {
    const auto self = index_.find(key);
    const uint32_t self_index = self == index_.end() ? kNone : self->second;
    uint32_t wanted = std::min(request.numwant, limits_.max_numwant);
    // Of the peer's own family first, which it surely can reach.
    for (const bool v6 : {from.is_v6, !from.is_v6}) {
      const auto& [leeches, seeds] = swarm.lists[v6];
      if (!seed) {
        // A quarter for seeds at least, so that many leeches do not hide them.
        const uint32_t for_seeds =
            std::min((wanted + 3) / 4, static_cast<uint32_t>(seeds.size()));
        wanted -= for_seeds;
        Choose(leeches, self_index, v6, wanted, peers[v6]);
        wanted += for_seeds;
        Choose(seeds, self_index, v6, wanted, peers[v6]);
      } else {
        Choose(leeches, self_index, v6, wanted, peers[v6]);
      }
    }
  }

  BencodeWriter out;
  const auto integer = [&out](std::string_view name, uint64_t value) {
    out.Key(name);
    out.Integer(static_cast<int64_t>(value));
  };
  out.BeginDictionary();
  integer("complete", swarm.count(true));
  integer("downloaded", swarm.downloaded);
  integer("incomplete", swarm.count(false));
  integer("interval", limits_.interval_s);
  integer("min interval", MinInterval(limits_.interval_s));
  out.Key("peers");
  out.String(peers[0]);
  if (!peers[1].empty()) {
    out.Key("peers6");
    out.String(peers[1]);
  }
  if (!room) {
    out.Key("warning message");
    out.String("this tracker is full: others are not told of you");
  }
  out.End();
  ForgetIfEmpty(request.swarm);
  return std::string(verify::AsText(out.Take()));
}

std::string TrackerState::Scrape(const std::vector<SwarmKey>& swarms,
                                 uint32_t now_s) {
  Expire(now_s);
  // Keys of a dictionary ascend and come once.
  std::vector<SwarmKey> sorted = swarms;
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  BencodeWriter out;
  out.BeginDictionary();
  out.Key("files");
  out.BeginDictionary();
  for (const SwarmKey& key : sorted) {
    const auto found = swarms_.find(key);
    if (found == swarms_.end()) continue;
    out.Key(verify::AsText(key));
    out.BeginDictionary();
    out.Key("complete");
    out.Integer(static_cast<int64_t>(found->second.count(true)));
    out.Key("downloaded");
    out.Integer(static_cast<int64_t>(found->second.downloaded));
    out.Key("incomplete");
    out.Integer(static_cast<int64_t>(found->second.count(false)));
    out.End();
  }
  out.End();
  out.End();
  return std::string(verify::AsText(out.Take()));
}

}  // namespace p2p
