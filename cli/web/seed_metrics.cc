// SPDX-License-Identifier: Apache-2.0
#include "cli/web/seed_metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <string_view>
#include <utility>

#include "cli/version.h"

namespace cli {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

ClientMetric Value(MetricType type, double value,
                   std::vector<ClientMetric::Label> labels) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return metric;
}

double SeriesValue(const SeedModel& model, size_t which) {
  switch (which) {
    case 0:
      return static_cast<double>(model.uploaded_bytes());
    case 1:
      return model.clock.seed_seconds();
    case 2:
      return model.status.up_bytes_per_s;
    case 3:
      return model.status.num_peers;
    case 4:
      return model.status.availability;
    case 5:
      return static_cast<double>(model.status.total_bytes);
    default:
      return model.record.last_complete_s.has_value()
                 ? static_cast<double>(*model.record.last_complete_s)
                 : 0;
  }
}

}  // namespace

std::string SeedMetricsText(
    const std::vector<std::unique_ptr<SeedModel>>& models,
    double uptime_seconds) {
  struct Series {
    const char* name;
    const char* help;
    MetricType type;
  };
  static constexpr std::array<Series, 7> kSeries = {{
      {"lodestone_seed_uploaded_bytes_total", "Payload uploaded over all runs",
       MetricType::Counter},
      {"lodestone_seed_seconds_total", "Time served over all runs",
       MetricType::Counter},
      {"lodestone_seed_upload_bytes_per_second", "Upload rate of payload",
       MetricType::Gauge},
      {"lodestone_seed_peers", "Connected peers", MetricType::Gauge},
      {"lodestone_seed_availability_copies", "Copies in the swarm, with ours",
       MetricType::Gauge},
      {"lodestone_seed_size_bytes", "Size of the payload", MetricType::Gauge},
      {"lodestone_seed_last_other_complete_timestamp_seconds",
       "When another complete peer was last seen; 0: never", MetricType::Gauge},
  }};
  std::vector<MetricFamily> families;
  families.push_back(
      {"lodestone_build_info",
       "The running program",
       MetricType::Gauge,
       {Value(MetricType::Gauge, 1, {{"version", std::string(kVersion)}})}});
  families.push_back({"lodestone_uptime_seconds",
                      "Since the process began to serve",
                      MetricType::Gauge,
                      {Value(MetricType::Gauge, uptime_seconds, {})}});
  for (size_t i = 0; i < kSeries.size(); ++i) {
    MetricFamily family{kSeries[i].name, kSeries[i].help, kSeries[i].type, {}};
    for (const auto& model : models) {
      if (model->key.empty()) continue;
      family.metric.push_back(
          Value(kSeries[i].type, SeriesValue(*model, i),
                {{"model", model->name}, {"info_hash", model->key}}));
    }
    families.push_back(std::move(family));
  }
  MetricFamily states{"lodestone_seed_models",
                      "Models of this process by state",
                      MetricType::Gauge,
                      {}};
  for (const ModelState state :
       {ModelState::kWaiting, ModelState::kChecking, ModelState::kServing,
        ModelState::kPaused, ModelState::kFailed, ModelState::kEnded}) {
    double count = 0;
    for (const auto& model : models) count += model->state == state ? 1 : 0;
    states.metric.push_back(
        Value(MetricType::Gauge, count,
              {{"state", std::string(ModelStateName(state))}}));
  }
  families.push_back(std::move(states));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace cli
