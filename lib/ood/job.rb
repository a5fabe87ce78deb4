# From checked answers to the job's options: what submit.yml.erb prints.
#
# Called on the web node, in the user's dashboard. Standard library only. The kernel's answers are not here:
# they reach the node as request.json, never as shell.

# The mapping of submit.yml for one launch.
class Job
  def initialize(catalog, answers)
    @catalog = catalog
    @answers = answers
  end

  def submit
    { "batch_connect" => { "template" => "basic" }, "script" => @answers.only? ? making : notebook }
  end

  private

  def notebook
    script = { "native" => native(@answers.number("kw_cores", "cores", "Processor cores")) }
    script["wall_time"] = @answers.number("bc_num_hours", "hours", "Hours") * 3600
    script["queue_name"] = @answers.partition unless @answers.partition.empty?
    script.merge(common)
  end

  # "Make it, do not start a notebook": the site's build partition, without GPU.
  def making
    build = @catalog.build
    script = { "native" => native(build["cores"].is_a?(Integer) ? build["cores"] : 4, gpus: false) }
    script["queue_name"] = build["partition"] if build["partition"].is_a?(String)
    script["queue_name"] ||= @answers.partition unless @answers.partition.empty?
    script["wall_time"] = seconds(build["time"]) || @answers.number("bc_num_hours", "hours", "Hours") * 3600
    script.merge(common)
  end

  def common
    { "qos" => @answers["kw_qos"], "reservation_id" => @answers["kw_reservation"] }.reject { |_, value| value.empty? }
  end

  # One node, one task: the cores are the task's.
  def native(cores, gpus: true)
    memory = @answers.number("kw_mem", "memory_gb", "Memory in GB")
    cards = @answers.number("kw_gpus", "gpus", "GPUs")
    found = ["--nodes=1", "--ntasks=1", "--cpus-per-task=#{cores}"]
    found << "--mem=#{memory}G" if memory.positive?
    found << "--gpus=#{cards}" if gpus && cards.positive?
    found + @answers.slurm_options
  end

  # "1-02:30:00", "02:30:00" or minutes, as Slurm writes times.
  def seconds(time)
    found = /\A(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)\z/.match(time.to_s)
    found ? found.captures.map(&:to_i).zip([86_400, 3600, 60, 1]).sum { |value, unit| value * unit } : nil
  end
end

# The answer that says what a Slurm kernel's own job asks for in this session: key=value, as in `kernelwright create --slurm`.
class OwnJob
  KEYS = %w[partition time ntasks nodes cpus_per_task mem gres account qos reservation constraint extra].freeze
  TEXT = %r{\A[A-Za-z0-9_.:=,+@%&|!*\[\]()/ \t-]*\z}.freeze

  def initialize(said)
    @said = said
  end

  # Yields what is wrong. The node reads it again, and Slurm after it.
  def check
    return yield("#{Text.shown(@said)} holds characters that no setting has. For example: partition=gpu") unless TEXT.match?(@said)

    pieces = @said.split(/[\s,]+/).reject(&:empty?)
    first = pieces.first.to_s
    return yield("#{Text.shown(first)} is not of the form key=value. For example: partition=gpu") unless first.empty? || first.include?("=")

    odd = unknown_key(pieces)
    yield("#{Text.shown(odd, 40)} is not a setting. There are #{KEYS.join(", ")}") if odd
  end

  private

  # The first key that is none. After `extra` further options may stand, and commas in their values: extra=--freq=task=5,energy=3.
  def unknown_key(pieces)
    option = nil
    pieces.each do |piece|
      key = key_of(piece)
      option = piece.delete_prefix("extra=") if key == "extra"
      option = nil if KEYS.include?(key) && key != "extra"
      option = piece if option && piece.start_with?("-")
      return key unless key.nil? || KEYS.include?(key) || option&.include?("=")
    end
    nil
  end

  # nil for a piece that goes on with the value before it, as in gres=gpu:1,shard:2.
  def key_of(piece)
    key, equals, = piece.partition("=")
    key.downcase.tr("-", "_").delete_prefix("__") unless equals.empty?
  end
end
