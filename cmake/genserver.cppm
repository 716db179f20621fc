// SPDX-License-Identifier: BSL-1.0
// The public names of the library as a module; its macros are of no use to one.
module;
#include <genserver/genserver.hpp>

export module genserver;

export namespace genserver {

// One server.
using genserver::AnyRef;
using genserver::Future;
using genserver::GenServer;
using genserver::OnDeadlock;
using genserver::OnException;
using genserver::OnFull;
using genserver::Options;
using genserver::OwnerType;
using genserver::Pid;
using genserver::Reply;
using genserver::RunCalls;
using genserver::self;
using genserver::self_stop_token;
using genserver::ServerRef;
using genserver::sleep_for;
using genserver::start;
using genserver::StopToken;
using genserver::Timer;
using genserver::unsafe_ref;

// What goes wrong, and how servers end.
using genserver::CallPhase;
using genserver::CallSite;
using genserver::CallTimeout;
using genserver::Deadlock;
using genserver::Error;
using genserver::Exit;
using genserver::ExitReason;
using genserver::ExitSignal;
using genserver::Forked;
using genserver::InvalidArgument;
using genserver::MailboxFull;
using genserver::NameTaken;
using genserver::NoReply;
using genserver::OnUnkillable;
using genserver::SelfWait;
using genserver::ServerGone;
using genserver::set_on_unkillable;
using genserver::StartFailed;
using genserver::WaitEdge;
using genserver::WaitKind;

// What they tell of themselves.
using genserver::dump_on_signal;
using genserver::Frame;
using genserver::Histogram;
using genserver::Report;
using genserver::ServerCounts;
using genserver::ServerSnapshot;
using genserver::ServerStack;
using genserver::set_report_sink;
using genserver::Snapshot;
using genserver::snapshot;
using genserver::Stacks;
using genserver::StackTrace;
using genserver::supervision_tree;
using genserver::SupervisionTree;
using genserver::to_dot;
using genserver::to_json;
using genserver::to_string;
using genserver::to_text;
using genserver::trace;
using genserver::trace_all;
using genserver::TraceEvent;
using genserver::TraceRecorder;
using genserver::TraceSink;
using genserver::WaitingCaller;

// Many servers.
using genserver::Application;
using genserver::ApplicationOptions;
using genserver::AutoShutdown;
using genserver::BackOff;
using genserver::Child;
using genserver::ChildCounts;
using genserver::ChildError;
using genserver::ChildSnapshot;
using genserver::ChildSpec;
using genserver::ChildStatus;
using genserver::ChildType;
using genserver::Down;
using genserver::DynamicSupervisor;
using genserver::DynamicSupervisorOptions;
using genserver::Group;
using genserver::IgnoreStart;
using genserver::Monitor;
using genserver::PartitionSupervisor;
using genserver::PartitionSupervisorOptions;
using genserver::Registry;
using genserver::RegistryChange;
using genserver::Restart;
using genserver::Shutdown;
using genserver::Strategy;
using genserver::Supervisor;
using genserver::SupervisorOptions;

// Services, and methods that are found by their names.
using genserver::Behaviour;
using genserver::BehaviourServer;
using genserver::EndListener;
using genserver::FailureListener;
using genserver::listen;
using genserver::MethodTable;
using genserver::OnFailedStart;
using genserver::OnHanging;
using genserver::Runner;
using genserver::RunnerOptions;
using genserver::Service;
using genserver::ServiceChange;
using genserver::ServiceContext;
using genserver::ServiceEnd;
using genserver::ServiceError;
using genserver::ServiceErrors;
using genserver::ServiceFailure;
using genserver::ServiceSnapshot;
using genserver::ServiceState;
using genserver::ShutdownGuard;
using genserver::TimedRestart;
using genserver::TimedRestartOptions;
using genserver::UnknownMethod;
using genserver::WrongBody;

// The version.
using genserver::version_major;
using genserver::version_minor;
using genserver::version_patch;

}  // namespace genserver
