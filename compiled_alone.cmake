# SPDX-License-Identifier: Apache-2.0
# Sources that LODESTONE_UNITY leaves alone: their local names are also those of
# a neighbour, or must be.

# compiled_alone(FOLDER SOURCES...): FOLDER has the target; SOURCES lie beneath.
function(compiled_alone folder)
  if(folder MATCHES "^tests/" AND NOT LODESTONE_TESTS)
    return()
  endif()
  list(TRANSFORM ARGN PREPEND "${PROJECT_SOURCE_DIR}/${folder}/")
  foreach(source ${ARGN})
    if(NOT EXISTS ${source})
      message(FATAL_ERROR "compiled_alone.cmake: there is no ${source}")
    endif()
  endforeach()
  set_source_files_properties(${ARGN}
    DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}
    PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

compiled_alone(verify
  checkpoint/gguf_reader.cc
  checkpoint/join_parts.cc
  checkpoint/safetensors_reader.cc
  checkpoint/sniff.cc
  checkpoint/tensor_table.cc
  checkpoint/tokenizer_check.cc
  checkpoint/tokenizer_json.cc
  checkpoint/tokenizer_tekken.cc
  checkpoint/torch_reader.cc
  checkpoint/vocabulary_builder.cc
  checkpoint/vocabulary_gguf.cc
  checkpoint/weight_files.cc
  container/tar_reader.cc
  container/zstd_frames.cc
  container/zstd_seekable.cc
  digest/sha1_pair.cc
  digest/sha256_lane.cc
  manifest/certificate.cc
  manifest/ec_key.cc
  manifest/manifest.cc
  manifest/minisign.cc
  manifest/minisign_secret.cc
  manifest/oms_signature.cc
  manifest/oms_statement.cc
  manifest/published_sums.cc
  manifest/trust_store.cc
  structure/family_hugging_face.cc
  structure/gguf_fields.cc
  structure/side_files.cc
  structure/structure_check.cc
  structure/table_gguf.cc
  structure/table_hugging_face.cc)
compiled_alone(p2p
  endpoint_policy.cc
  http_range.cc
  metadata_fetch.cc
  metainfo_info.cc
  payload_walk.cc
  proxy.cc
  request_depth.cc
  seeder.cc
  tracker_request.cc
  transfer.cc
  work_folder.cc)
compiled_alone(inference
  convert/convert.cc
  convert/partial_result.cc
  convert/safetensors_writer.cc
  convert/tensor_stream.cc
  eval/fingerprint_compare.cc
  eval/machine_limits.cc
  eval/speed.cc
  tensor/decode_rows.cc
  tensor/stored_matrix.cc
  text/bpe_merger.cc
  text/bpe_pairs.cc
  text/load_tokenizer.cc
  text/sentencepiece_encoder.cc
  text/sentencepiece_form.cc
  text/tokenizer.cc)
compiled_alone(cli
  commands/seed.cc
  flows/content_check.cc
  flows/evidence_against.cc
  flows/get_flow.cc
  flows/http_fetch.cc
  flows/inspect_checkpoint.cc
  flows/manifest_check.cc
  flows/publish_manifest.cc
  flows/report_html.cc
  flows/sign_manifest.cc
  flows/signatures.cc
  flows/tensor_stats.cc
  flows/unpack_flow.cc
  state/paths.cc
  subprocess.cc
  web/tracker_server.cc)
compiled_alone(tests/inference/model
  family_forward_test.cc
  layer_probe_test.cc)
compiled_alone(tests/inference/ops
  kernels_test.cc
  matmul_test.cc)
compiled_alone(tests/inference/quant
  encode_blocks_test.cc
  quantize_test.cc)
compiled_alone(tests/inference/text
  bpe_encoder_test.cc
  chat_template_test.cc
  gguf_vocabulary_test.cc
  literal_matcher_test.cc
  tokenizer_test.cc)
compiled_alone(tests/p2p
  crash_test.cc
  download_test.cc
  magnet_test.cc
  metainfo_test.cc
  piece_check_test.cc
  seed_test.cc
  seeder_test.cc
  selection_test.cc
  selective_download_test.cc)
compiled_alone(tests/verify/checkpoint
  checkpoint_places_test.cc
  pickle_reader_test.cc
  safetensors_reader_test.cc
  tensor_table_test.cc
  tokenizer_json_test.cc
  torch_reader_test.cc)
compiled_alone(tests/verify/digest
  hash_engine_v2_test.cc)
compiled_alone(tests/verify/manifest
  manifest_test.cc
  minisign_test.cc
  oms_signature_test.cc
  published_sums_test.cc
  signed_evidence_test.cc)
compiled_alone(tests/verify/structure
  families_test.cc
  gguf_config_test.cc
  sliced_numbers_test.cc
  structure_check_test.cc)
