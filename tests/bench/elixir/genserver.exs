# SPDX-License-Identifier: BSL-1.0
# Measures Elixir's GenServer.

defmodule Counter do
  use GenServer

  def start(count), do: elem({:ok, _} = GenServer.start(__MODULE__, count), 1)
  def increment(server), do: GenServer.call(server, :increment, :infinity)
  def value(server), do: GenServer.call(server, :value, :infinity)
  def add_one(server), do: GenServer.cast(server, :add_one)
  def run(server, work), do: GenServer.call(server, {:run, work}, :infinity)

  @impl true
  def init(count), do: {:ok, count}

  @impl true
  def handle_call(:increment, _from, count), do: {:reply, count + 1, count + 1}
  def handle_call(:value, _from, count), do: {:reply, count, count}
  def handle_call({:run, work}, _from, count), do: {:reply, work.(count), count}

  @impl true
  def handle_cast(:add_one, count), do: {:noreply, count + 1}
end

# A server that hands a token on to the next one.
defmodule Hop do
  use GenServer

  def start(finished), do: elem({:ok, _} = GenServer.start(__MODULE__, finished), 1)

  @impl true
  def init(finished), do: {:ok, {nil, finished, 0}}

  @impl true
  def handle_call({:next, next}, _from, {_, finished, taken}),
    do: {:reply, :ok, {next, finished, taken}}

  def handle_call(:taken, _from, {_, _, taken} = hop), do: {:reply, taken, hop}

  @impl true
  def handle_cast({:take, 0}, {next, finished, taken}) do
    send(finished, :finished)
    {:noreply, {next, finished, taken + 1}}
  end

  def handle_cast({:take, left}, {next, finished, taken}) do
    GenServer.cast(next, {:take, left - 1})
    {:noreply, {next, finished, taken + 1}}
  end
end

defmodule Sampling do
  def now, do: System.monotonic_time(:nanosecond)

  def quantile(samples, share),
    do: samples |> Enum.sort() |> Enum.at(trunc(share * (length(samples) - 1)))

  def times(0, _operation), do: :ok

  def times(count, operation) do
    operation.()
    times(count - 1, operation)
  end

  # Returns the nanoseconds of one operation, as a median of batches and as a mean, and how often
  # it was done, the warming up included.
  def repeat(budget, operation) do
    {size, count} = warm_up(1, 0, budget / 64, now() + div(budget, 4), operation)
    took = until(now() + budget, fn -> timed(size, operation) end)
    measured = size * length(took)
    {quantile(took, 0.5) / size, Enum.sum(took) / measured, count + measured}
  end

  # Repeats what returns one sample, after one that does not count.
  def median_of(budget, sample) do
    sample.()
    until(now() + budget, sample) |> quantile(0.5)
  end

  # Returns at least one sample.
  def until(due, sample, taken \\ []) do
    taken = [sample.() | taken]
    if now() < due, do: until(due, sample, taken), else: taken
  end

  defp timed(size, operation) do
    began = now()
    times(size, operation)
    now() - began
  end

  defp warm_up(size, count, enough, due, operation) do
    took = timed(size, operation)
    count = count + size
    size = if took < enough, do: size * 2, else: size
    if now() < due, do: warm_up(size, count, enough, due, operation), else: {size, count}
  end
end

defmodule Measures do
  import Sampling

  def all do
    [
      {"call_1", &call_1/1},
      {"call_4", &call_many(&1, 4)},
      {"call_16", &call_many(&1, 16)},
      {"call_busy_2", &call_busy(&1, 2)},
      {"call_busy_4", &call_busy(&1, 4)},
      {"call_nested", &call_nested/1},
      {"cast_1", &cast_many(&1, 1)},
      {"cast_4", &cast_many(&1, 4)},
      {"cast_16", &cast_many(&1, 16)},
      {"cast_asleep", &cast_asleep/1},
      {"ping_pong", &hops(&1, "ping_pong", 2)},
      {"thread_ring", &hops(&1, "thread_ring", 503)},
      {"spawn", &spawn_server/1},
      {"memory_1000", &memory(&1, 1_000)},
      {"memory_10000", &memory(&1, 10_000)},
      {"idle_processor", &idle_processor/1}
    ]
  end

  defp budget(scale), do: trunc(200_000_000 * scale)
  defp scaled(scale, count), do: max(1, trunc(count * scale))
  defp sleep(nanoseconds), do: Process.sleep(max(1, div(nanoseconds, 1_000_000)))

  defp print(measure, value, unit),
    do: :io.format("~s ~s ~s~n", [measure, :erlang.float_to_binary(value / 1, decimals: 3), unit])

  defp expect(true, _what), do: :ok
  defp expect(false, what), do: raise("a result is wrong: #{what}")

  defp call_1(scale) do
    server = Counter.start(0)
    {median, _, count} = repeat(budget(scale), fn -> Counter.increment(server) end)

    single =
      until(now() + div(budget(scale), 4), fn ->
        began = now()
        Counter.increment(server)
        now() - began
      end)

    expect(Counter.value(server) == count + length(single), "the calls of one client")
    print("call_1", median, "ns")
    print("call_1_p99", quantile(single, 0.99), "ns")
  end

  defp count_until(flag, operation, count \\ 0) do
    if :atomics.get(flag, 1) == 1 do
      count
    else
      operation.()
      count_until(flag, operation, count + 1)
    end
  end

  defp call_busy(scale, busy) do
    server = Counter.start(0)
    is_over = :atomics.new(1, [])
    others = for _ <- 1..busy, do: Task.async(fn -> count_until(is_over, fn -> :ok end) end)
    {_, mean, count} = repeat(budget(scale) * 2, fn -> Counter.increment(server) end)
    :atomics.put(is_over, 1, 1)
    Task.await_many(others, :infinity)
    expect(Counter.value(server) == count, "the calls beside busy processes")
    print("call_busy_#{busy}", mean, "ns")
  end

  defp call_many(scale, clients) do
    server = Counter.start(0)
    is_over = :atomics.new(1, [])

    all =
      for _ <- 1..clients do
        Task.async(fn -> count_until(is_over, fn -> Counter.increment(server) end) end)
      end

    sleep(div(budget(scale), 4))
    {first, began} = Counter.run(server, &{&1, now()})
    sleep(budget(scale))
    {last, ended} = Counter.run(server, &{&1, now()})
    :atomics.put(is_over, 1, 1)
    total = all |> Task.await_many(:infinity) |> Enum.sum()
    expect(Counter.value(server) == total, "the calls of many clients")
    print("call_#{clients}", (last - first) / (ended - began) * 1_000_000, "k/s")
  end

  defp call_nested(scale) do
    inner = Counter.start(0)
    work = fn _ -> repeat(budget(scale), fn -> Counter.increment(inner) end) end
    {median, _, count} = Counter.run(Counter.start(0), work)
    expect(Counter.value(inner) == count, "the calls of another server")
    print("call_nested", median, "ns")
  end

  defp cast_many(scale, producers) do
    server = Counter.start(0)
    each = div(scaled(scale, 512 * 1024), producers) + 1

    took =
      median_of(budget(scale), fn ->
        before = Counter.value(server)
        began = now()
        produce = fn -> times(each, fn -> Counter.add_one(server) end) end
        Task.await_many(for(_ <- 1..producers, do: Task.async(produce)), :infinity)
        handled = Counter.value(server)
        elapsed = now() - began
        expect(handled - before == each * producers, "the casts of all producers")
        elapsed / (each * producers)
      end)

    print("cast_#{producers}", 1000 / took, "M/s")
  end

  defp cast_asleep(scale) do
    server = Counter.start(0)

    samples =
      for _ <- 1..scaled(scale, 200) do
        Process.sleep(1)
        began = now()
        Counter.add_one(server)
        now() - began
      end

    expect(Counter.value(server) == length(samples), "the casts to a sleeping server")
    print("cast_asleep", quantile(samples, 0.5), "ns")
  end

  defp hops(scale, measure, size) do
    ring = for _ <- 1..size, do: Hop.start(self())

    for {hop, next} <- Enum.zip(ring, tl(ring) ++ [hd(ring)]),
        do: :ok = GenServer.call(hop, {:next, next})

    count = scaled(scale, 10_000)

    samples =
      until(now() + budget(scale), fn ->
        began = now()
        GenServer.cast(hd(ring), {:take, count})

        receive do
          :finished -> (now() - began) / (count + 1)
        end
      end)

    taken = ring |> Enum.map(&GenServer.call(&1, :taken)) |> Enum.sum()
    expect(taken == length(samples) * (count + 1), "the hops of a token")
    print(measure, quantile(samples, 0.5), "ns")
  end

  defp spawn_server(scale) do
    {median, _, _} =
      repeat(budget(scale), fn ->
        server = Counter.start(41)
        expect(Counter.increment(server) == 42, "the call of a new server")
        GenServer.stop(server)
      end)

    print("spawn", median / 1000, "us")
  end

  defp idle_servers(count) do
    for _ <- 1..count do
      server = Counter.start(0)
      Counter.increment(server)
      server
    end
  end

  # Returns the sum of the lines with these keys, which tell kilobytes.
  defp bytes(file, keys) do
    found =
      for line <- String.split(File.read!(file), "\n"),
          [key, kilobytes | _] <- [String.split(line)],
          key in keys,
          do: String.to_integer(kilobytes) * 1024

    expect(found != [], "#{file} tells nothing of #{Enum.join(keys, ", ")}")
    Enum.sum(found)
  end

  defp resident, do: bytes("/proc/self/status", ["VmRSS:"])
  defp kernel, do: bytes("/proc/meminfo", ["KernelStack:", "PageTables:", "SUnreclaim:"])

  defp memory(scale, count) do
    idle_servers(1)
    made = scaled(scale, count)
    before = {resident(), kernel()}
    servers = idle_servers(made)
    sleep(div(budget(scale), 4))
    print("memory_#{count}", (resident() - elem(before, 0)) / made, "bytes")
    print("kernel_#{count}", (kernel() - elem(before, 1)) / made, "bytes")
    expect(Counter.value(List.last(servers)) == 1, "the count of an idle server")
  end

  # Returns the nanoseconds that all threads have had of the processors.
  defp processor_time do
    Path.wildcard("/proc/self/task/*/schedstat")
    |> Enum.map(&(&1 |> File.read!() |> String.split() |> hd() |> String.to_integer()))
    |> Enum.sum()
  end

  defp idle_processor(scale) do
    idle_servers(scaled(scale, 1_000))
    sleep(budget(scale))
    processor_time()
    before = processor_time()
    sleep(div(budget(scale), 20))
    {used, began} = {processor_time(), now()}
    sleep(budget(scale) * 10)
    # To sleep and look takes time, too.
    idle = processor_time() - used - (used - before)
    print("idle_processor", idle / (now() - began) * 1_000_000, "ppm")
  end
end

# genserver.exs --list, or genserver.exs [--peer elixir] [--scale FACTOR] measure...
defmodule Program do
  def main(["--list"]),
    do: IO.puts(Enum.join(["elixir" | Enum.map(Measures.all(), &elem(&1, 0))], " "))

  def main(words), do: obey(words, 1.0, [])

  defp obey(["--peer", "elixir" | words], scale, chosen), do: obey(words, scale, chosen)

  defp obey(["--peer", name | _], _, _), do: refuse("there is no peer \"#{name}\", but: elixir")

  defp obey(["--scale", word | words], _, chosen) do
    case Float.parse(word) do
      {scale, ""} when scale > 0 and scale <= 1000 -> obey(words, scale, chosen)
      _ -> refuse("--scale is \"#{word}\", allowed is more than 0 and up to 1000")
    end
  end

  defp obey([option], _, _) when option in ["--peer", "--scale"],
    do: refuse("#{option} needs a word after it")

  defp obey([name | words], scale, chosen) do
    case List.keyfind(Measures.all(), name, 0) do
      {_, measure} -> obey(words, scale, [measure | chosen])
      nil -> refuse("there is no measure \"#{name}\"; --list tells those that there are")
    end
  end

  defp obey([], _, []), do: refuse("which measure? --list tells those that there are")
  defp obey([], scale, chosen), do: chosen |> Enum.reverse() |> Enum.each(& &1.(scale))

  defp refuse(why) do
    IO.puts(:stderr, "genserver.exs: #{why}")
    System.halt(2)
  end
end

Program.main(System.argv())
