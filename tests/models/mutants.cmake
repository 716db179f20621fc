# The faults that the models have to find: mutant(name suite file "code {{before => after}} code").
# The text without the mutation has to be in exactly one place, of which `before` alone is changed.
# Where one is within another, the larger comes first.

set(relaxed "std::memory_order_relaxed")
set(to_relaxed_acquire "{{std::memory_order_acquire => ${relaxed}}}")
set(to_relaxed_release "{{std::memory_order_release => ${relaxed}}}")

# Wake-ups that are left out, or come too early.
mutant(push_wakes_nobody producers sync/mailbox.hpp "has_to_wake = {{is_idle(word) => false}}")
mutant(senders_are_not_woken room sync/mailbox.hpp "{{wake_all(&room_); => }}")
mutant(room_does_not_change room sync/mailbox.hpp "room_.fetch_add({{1 => 0}},")
mutant(close_wakes_nobody room_closed sync/mailbox.hpp
       "if ((before & awaited) != 0) {{change_room(); => }}")
mutant(rest_wakes_nobody room sync/mailbox.hpp
       "if ((word & awaited) != 0) {{change_room(); => }}")
mutant(sender_sleeps_at_once room sync/mailbox.hpp
       "{{if (!is_full() || is_closed()) return; => }}  // a bit")
mutant(sender_reads_room_late room sync/mailbox.hpp
       "sleep_while_equal(room_, {{before => room_.load(std::memory_order_acquire)}},")
mutant(sender_awaits_nothing room sync/mailbox.hpp
       "{{word_.fetch_or(awaited, ${relaxed}); => }}")
mutant(hand_over_is_silent callers sync/mailbox.hpp
       "{{return newest(changed) != nullptr || (changed & kept) != 0; => return false;}}")
mutant(hand_over_forgets_work callers sync/mailbox.hpp
       "(word & ~running) | ({{needs_runner ? kept : 0 => 0}})")
mutant(hand_over_forgets_messages callers sync/mailbox.hpp
       "{{newest(changed) != nullptr => false}} ||")
mutant(unpark_wakes_nobody token sync/parker.hpp "{{wake_all(&state_); => }}")
mutant(unpark_never_finds_it_parked token sync/parker.hpp "== {{parked => empty}}) {  // P1")
mutant(set_touches_it_afterwards one_waiter sync/one_shot.hpp
       "wake_all(&state_);
{{ => static_cast<void>(state_.load(${relaxed}));}}  }

  [[nodiscard]] bool is_set")
mutant(set_wakes_nobody one_waiter sync/one_shot.hpp
       "memory_order_acq_rel) == awaited) {{wake_all(&state_); => }}")
mutant(interrupt_wakes_nobody interrupted sync/one_shot.hpp
       "if (seen == awaited) {{wake_all(&state_); => }}
}")

# Looks that are left out, and steps that are no longer one.
mutant(rest_does_not_look producers sync/mailbox.hpp
       "{{if (newest(word) != nullptr) return false; => }}
    // With")
mutant(rest_does_not_lock eviction sync/mailbox.hpp
       "{{if (is_lossy_) lock.lock(); => }}  // so that")
mutant(pop_does_not_lock eviction sync/mailbox.hpp "if ({{!is_lossy_ => true}}) return pop_kept")
mutant(evict_hides_what_it_moves eviction sync/mailbox.hpp "take_chain({{kept => 0}})")
mutant(evict_loses_what_it_passes eviction sync/mailbox.hpp
       "{{kept_list_.push_front(passed); => }}")
mutant(evict_keeps_the_place eviction sync/mailbox.hpp
       "{{if (message != nullptr) give_back(); => }}")
mutant(run_ignores_what_is_kept callers sync/mailbox.hpp
       "return {{(word & kept) != 0 => false}} || newest(word) != nullptr;")
mutant(push_ignores_close close sync/mailbox.hpp "if ({{(word & closed) != 0 => false}}) {")
mutant(push_ignores_the_bound bound sync/mailbox.hpp
       "if ({{is_counted => false}} && !has_room(word)) {")
mutant(push_looks_once free_place sync/mailbox.hpp
       "now == word && {{!has_room(now) => true}} &&")
mutant(push_takes_newer_counts free_place sync/mailbox.hpp
       "{{word_.load(${relaxed}) == now => true}}) {  // P5")
mutant(idle_run_ignores_the_runner callers sync/mailbox.hpp
       "if ({{(word & running) != 0 => false}}) {  // what came")
mutant(idle_run_ignores_messages callers sync/mailbox.hpp
       "!= 0 || {{has_work(word) => false}}) return std::nullopt")
mutant(push_ignores_the_lease lease_and_casts sync/mailbox.hpp
       "has_to_wake || {{is_there(lease) => false}} ? Push::wake")
mutant(lease_is_not_awaited lease_and_casts sync/mailbox.hpp
       "return lease_ != nullptr && {{lease_->revoke() => false}};")
mutant(lease_begins_unseen lease_begins sync/mailbox.hpp
       "{{lease_->begin(); => }}
  if (!word_.compare_exchange_strong(word, word,")
mutant(lease_forgets_what_came lease_begins sync/mailbox.hpp
       "if ({{!word_.compare_exchange_strong(word, word, std::memory_order_release,  // P7
                                     std::memory_order_relaxed) => false}}) {")
mutant(token_is_overwritten parking sync/parker.hpp
       "{{state_.exchange(empty, std::memory_order_acquire); => state_.store(empty, ${relaxed});}}")
mutant(park_ignores_the_token token sync/parker.hpp
       "while (state_.load(${relaxed}) == {{parked => notified}})")
mutant(sleep_overwrites_done one_waiter sync/one_shot.hpp
       "{{state_.compare_exchange_strong(seen, awaited, ${relaxed});
 => state_.store(awaited, ${relaxed});}}  // Relaxed: whether")
mutant(interrupt_overwrites_done set_and_interrupted sync/one_shot.hpp
       "if ({{seen == done => false}} || seen == interrupted) return")

# Orders that are too weak, by the letters in the headers. Three are not here: those of P4 keep two
# steps of one thread in their order, and in a model they always are; without P5 in has_room(), one
# of 100 000 runs fails.
mutant(push_unreleased producers sync/mailbox.hpp
       "(word, changed, {{std::memory_order_acq_rel => std::memory_order_acquire}},  // P1")
mutant(take_chain_relaxed producers sync/mailbox.hpp "${to_relaxed_acquire},  // P1")
mutant(rest_relaxed callers sync/mailbox.hpp
       "awaited),
                                        ${to_relaxed_release}")
mutant(hand_over_relaxed serving_callers sync/mailbox.hpp "(word, changed, ${to_relaxed_release},  // P2")
mutant(turn_relaxed serving_callers sync/mailbox.hpp
       "(word, turn.word_, ${to_relaxed_release},  // P2")
mutant(turn_forgets_what_came serving_callers sync/mailbox.hpp
       "Word word = {{turn.word_ | running => word_.load(${relaxed})}};  // as it was")
mutant(try_run_relaxed lease_and_work sync/mailbox.hpp
       "_weak(word, word | running, ${to_relaxed_acquire},  // P2")
mutant(try_run_idle_relaxed callers sync/mailbox.hpp
       "_strong(word, word | running, ${to_relaxed_acquire},  // P2")
mutant(begin_lease_relaxed lease_begins sync/mailbox.hpp
       "(word, word, ${to_relaxed_release},  // P7")
mutant(take_lease_relaxed lease_and_calls sync/turn_lease.hpp
       "(seen, taken, ${to_relaxed_acquire},  // P1")
mutant(revoke_relaxed lease_and_casts sync/turn_lease.hpp
       "(seen, none, ${to_relaxed_acquire},  // P1")
mutant(put_back_relaxed lease_and_casts sync/turn_lease.hpp "(ready, ${to_relaxed_release});  // P1")
mutant(close_relaxed close sync/mailbox.hpp "fetch_or(closed, ${to_relaxed_release})")
mutant(refused_relaxed close sync/mailbox.hpp
       "static_cast<void>(word_.load(${to_relaxed_acquire}))")
mutant(is_closed_relaxed close sync/mailbox.hpp "(word_.load(${to_relaxed_acquire}) & closed)")
mutant(give_back_relaxed producers sync/mailbox.hpp "popped_.store(popped, ${to_relaxed_release})")
mutant(size_relaxed producers sync/mailbox.hpp
       "popped_.load(${to_relaxed_acquire});  // P5
    const Word")
mutant(full_relaxed free_place sync/mailbox.hpp "now = word_.load(${to_relaxed_acquire})")
mutant(size_of_word_relaxed room sync/mailbox.hpp
       "const Word word = word_.load(${to_relaxed_acquire})")
mutant(unpark_relaxed token sync/parker.hpp "(notified, ${to_relaxed_release})")
mutant(park_relaxed token sync/parker.hpp "(empty, ${to_relaxed_acquire})")
mutant(set_relaxed one_waiter sync/one_shot.hpp
       "(done, {{std::memory_order_acq_rel => std::memory_order_acquire}})")
mutant(is_set_relaxed two_waiters sync/one_shot.hpp "state_.load(${to_relaxed_acquire})")
