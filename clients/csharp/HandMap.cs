// HandMap Edge, protocol 1.0: packets and control messages, read and written; what a receiver does with them.
//
// One file, C# 7 without unsafe code; copy it into a project, Unity's included. After its objects have been made, reading,
// writing and following hands allocates nothing. Objects are not for several threads at a time.
// docs/protocol.md is the specification, docs/codecs.md the guide; clients/c/handmap.h is the same in C.
//
// Units are in the names: M meters, Rad radians, S seconds, Ns nanoseconds. Joints are hand21: 0 wrist, then thumb 1-4, index
// 5-8, middle 9-12, ring 13-16 and little 17-20, each from the palm to the tip.
//
// SPDX-License-Identifier: Apache-2.0

using System;
using System.Runtime.InteropServices;

namespace HandMap
{
    public enum Error
    {
        Ok,
        TooShort,
        TooLong,
        BadMagic,
        OtherVersion,
        BadChecksum,
        UnknownFlags,
        NotAuthenticated,
        UnknownKey,
        BadTag,
        BadLengths,
        HandsDoNotFit,
        BadPart,
        BadBlock,
        ShortSkeleton,
        StraySkeleton,
        BadOrientation,
        NotFinite,
        UnknownType,
        UnknownStatus,
        UnknownJointOrder,
        UnknownFrame,
        UnknownClock,
        UnknownHandedness,
        OutOfRange,
        DoesNotFit,
        NoRoom
    }

    public enum MessageType : byte { Joints = 1, Heartbeat = 2 }

    public enum ControlType : byte
    {
        Ping = 16,
        Pong = 17,
        Subscribe = 18,
        Subscribed = 19,
        Unsubscribe = 20,
        InfoRequest = 21,
        Info = 22,
        Snapshot = 23,
        SnapshotTaken = 24
    }

    public enum ControlStatus : byte { Done = 0, BadToken = 1, Full = 2, NotAllowed = 3 }

    /// <summary>Of the daemon. Follow no hand in a state that is Unknown: a newer version has added it.</summary>
    public enum State : byte { Starting = 0, NoCamera = 1, NoHand = 2, Tracking = 3, Degraded = 4, Stopping = 5, Unknown = 255 }

    public enum Precision : byte { None = 0, Fp32 = 1, Fp16 = 2, Int8 = 3, Unknown = 255 }

    public enum TimestampSource : byte { Arrival = 0, CameraClock = 1, Recording = 2, Unknown = 255 }

    /// <summary>Camera: x right, y down, z away. Unity's x right, y up, z away is (x, -y, z).</summary>
    public enum FrameOfReference : byte { Camera = 0, Configured = 1 }

    public enum Handedness : byte { Unknown = 0, Left = 1, Right = 2 }

    [Flags]
    public enum HandFlags : byte { None = 0, Valid = 1, Tracked = 2, Extrapolated = 4 }

    /// <summary>What the fit knows of a hand beyond its joints.</summary>
    public sealed class Skeleton
    {
        /// <summary>16 x (x, y, z, w): wrist; thumb cmc, mcp, ip; index mcp, pip, dip; ...</summary>
        public readonly float[] Quaternions = new float[16 * 4];
        /// <summary>22, in the order of docs/skeleton.md.</summary>
        public readonly float[] AnglesRad = new float[22];
        /// <summary>0 to 1: index, middle, ring, little with the thumb.</summary>
        public readonly float[] PinchStrength = new float[4];
        public readonly bool[] IsPinching = new bool[4];
        /// <summary>The hand's size has been learned.</summary>
        public bool IsSizeHeld;
        /// <summary>0 straight fingers, 1 a fist.</summary>
        public float GraspClosure;
        /// <summary>Wrist to middle fingertip along the bones, and the standard deviation of that.</summary>
        public float HandLengthM, HandLengthErrorM;

        public void CopyFrom(Skeleton other)
        {
            Array.Copy(other.Quaternions, Quaternions, Quaternions.Length);
            Array.Copy(other.AnglesRad, AnglesRad, AnglesRad.Length);
            Array.Copy(other.PinchStrength, PinchStrength, PinchStrength.Length);
            Array.Copy(other.IsPinching, IsPinching, IsPinching.Length);
            IsSizeHeld = other.IsSizeHeld;
            GraspClosure = other.GraspClosure;
            HandLengthM = other.HandLengthM;
            HandLengthErrorM = other.HandLengthErrorM;
        }
    }

    public sealed class Hand
    {
        /// <summary>Constant while the hand is tracked.</summary>
        public uint TrackId;
        public Handedness Handedness;
        /// <summary>Ignore a hand that is not Valid if joints move something.</summary>
        public HandFlags Flags;
        /// <summary>0 to 1, that the handedness is right, and that it is a hand.</summary>
        public float HandednessConfidence, Confidence;
        /// <summary>21 x (x, y, z), in the packet's frame of reference.</summary>
        public readonly float[] XyzM = new float[Wire.Joints * 3];
        /// <summary>21, the expected distance from the truth.</summary>
        public readonly float[] ExpectedErrorM = new float[Wire.Joints];
        /// <summary>Without one, Skeleton holds nothing.</summary>
        public bool HasSkeleton;
        public readonly Skeleton Skeleton = new Skeleton();

        public void CopyFrom(Hand other)
        {
            TrackId = other.TrackId;
            Handedness = other.Handedness;
            Flags = other.Flags;
            HandednessConfidence = other.HandednessConfidence;
            Confidence = other.Confidence;
            Array.Copy(other.XyzM, XyzM, XyzM.Length);
            Array.Copy(other.ExpectedErrorM, ExpectedErrorM, ExpectedErrorM.Length);
            HasSkeleton = other.HasSkeleton;
            if (HasSkeleton) Skeleton.CopyFrom(other.Skeleton);
        }
    }

    /// <summary>One packet; make one and read every datagram into it.</summary>
    public sealed class Packet
    {
        public byte Minor = Wire.Minor;
        public MessageType MessageType = MessageType.Joints;
        public State State;
        public Precision Precision;
        public FrameOfReference FrameOfReference;
        public TimestampSource TimestampSource;
        /// <summary>Flags that may be ignored.</summary>
        public byte Compatible;
        /// <summary>Datagrams of this frame, see Frame.</summary>
        public byte Part, PartCount = 1;
        /// <summary>Where the sender answers, 0 if it does not.</summary>
        public ushort ControlPort;
        public uint StreamId, Sequence, FrameNumber;
        /// <summary>The sender's CLOCK_MONOTONIC.</summary>
        public long CaptureNs, PublishNs;
        public readonly byte[] BundleId = new byte[8];
        public int HandCount;
        /// <summary>Only the first HandCount hold anything.</summary>
        public readonly Hand[] Hands = { new Hand(), new Hand(), new Hand() };
    }

    /// <summary>One control message.</summary>
    public sealed class ControlMessage
    {
        public ControlType MessageType;
        public ControlStatus Status;
        public ushort LeaseS;
        /// <summary>Of the daemon; 0 in requests.</summary>
        public uint StreamId;
        /// <summary>Any number of the receiver's, which the answer repeats.</summary>
        public ulong Nonce;
        /// <summary>From the last PONG.</summary>
        public readonly byte[] Token = new byte[16];
        /// <summary>The receiver's clock when it asked, and the daemon's when it read the request and answered.</summary>
        public long ClientNs, ReceivedNs, SentNs;
        /// <summary>JSON text in UTF-8 of an INFO: the first InfoBytes of Info.</summary>
        public readonly byte[] Info = new byte[Wire.MaxBytes];
        public int InfoBytes;
    }

    /// <summary>Datagrams, read and written.</summary>
    public static class Wire
    {
        public const byte Major = 1, Minor = 0;
        public const int Port = 5656, ControlPort = 5655;
        public const int Joints = 21, MaxHands = 3, MaxParts = 8;
        public const int MinBytes = 64, MaxBytes = 1200;
        public const int HeaderBytes = 60, HandBytes = 352, BlockBytes = 4, SkeletonBytes = 188, ControlBytes = 72;
        public const int TrailerBytes = 20, CrcBytes = 4;
        public const int MaxInfoBytes = MaxBytes - ControlBytes - TrailerBytes - CrcBytes;

        [StructLayout(LayoutKind.Explicit)]
        private struct FloatBits
        {
            [FieldOffset(0)] public float Value;
            [FieldOffset(0)] public uint Bits;
        }

        private static readonly uint[] CrcTable = MakeCrcTable();

        /// <summary>What an error means, in one sentence without its end.</summary>
        public static string Text(Error error)
        {
            switch (error)
            {
                case Error.Ok: return "done";
                case Error.TooShort: return "the datagram is too short for one of HandMap";
                case Error.TooLong: return "the datagram is longer than 1200 bytes; something else is sending to this port";
                case Error.BadMagic: return "the datagram does not start with HMAP; something else is sending to this port";
                case Error.OtherVersion: return "another major version than 1 cannot be read; update the older side";
                case Error.BadChecksum: return "the checksum does not match, the datagram was damaged or truncated";
                case Error.UnknownFlags: return "flags that change the layout are unknown to version 1.0; update the receiver";
                case Error.NotAuthenticated: return "the datagram is not authenticated, but this side has a key";
                case Error.UnknownKey: return "the datagram was sealed with a key that this side does not have";
                case Error.BadTag: return "the tag does not match, the datagram was forged or changed";
                case Error.BadLengths: return "a header or hand record is shorter than that of version 1.0, or too long";
                case Error.HandsDoNotFit: return "the hands do not fit into the bytes found";
                case Error.BadPart: return "the part is not one of 1 to 8 that a frame can have";
                case Error.BadBlock: return "a block reaches beyond the datagram";
                case Error.ShortSkeleton: return "a skeleton has fewer than 188 bytes";
                case Error.StraySkeleton: return "a skeleton belongs to no hand, or to one that already has one";
                case Error.BadOrientation: return "an orientation is not a unit quaternion";
                case Error.NotFinite: return "a number is not finite";
                case Error.UnknownType: return "the message type is unknown to version 1.0";
                case Error.UnknownStatus: return "the status is unknown to version 1.0";
                case Error.UnknownJointOrder: return "the joint order is unknown to version 1.0";
                case Error.UnknownFrame: return "the frame of reference is unknown to version 1.0";
                case Error.UnknownClock: return "the clock is unknown to version 1.0";
                case Error.UnknownHandedness: return "the handedness is unknown to version 1.0";
                case Error.OutOfRange: return "a number is out of the range that a datagram can hold";
                case Error.DoesNotFit: return "more hands, skeletons or text than a datagram can hold";
                case Error.NoRoom: return "the buffer is too small; 1200 bytes are always enough";
            }
            return "unknown error";
        }

        /// <summary>Reads the packet that one whole datagram holds, the first `size` bytes; with keys, only one that was sealed
        /// with one of them, without (null), all. What a newer minor version adds is skipped. A refused packet has no hands.</summary>
        public static Error Decode(byte[] data, int size, KeyRing keys, Packet packet)
        {
            int bodyBytes;
            Error error = Unseal(data, size, keys, out bodyBytes);
            if (error == Error.Ok) error = DecodeBody(data, bodyBytes, packet);
            if (error != Error.Ok) packet.HandCount = 0;
            return error;
        }

        /// <summary>Writes a packet and gives its size, or 0 with an error; with keys it is sealed with the first one. MaxBytes
        /// are always enough room. Refuses what no receiver would accept.</summary>
        public static Error Encode(Packet packet, KeyRing keys, byte[] data, out int size)
        {
            size = 0;
            if (packet.HandCount < 0 || packet.HandCount > MaxHands) return Error.DoesNotFit;
            int bodyBytes = HeaderBytes;
            for (int i = 0; i < packet.HandCount; i++)
                bodyBytes += HandBytes + (packet.Hands[i].HasSkeleton ? BlockBytes + SkeletonBytes : 0);
            Error error = CanSeal(bodyBytes, keys, data.Length);
            if (error != Error.Ok) return error;
            if (packet.Part >= packet.PartCount || packet.PartCount > MaxParts) return Error.BadPart;
            if (packet.MessageType != MessageType.Joints && packet.MessageType != MessageType.Heartbeat) return Error.UnknownType;
            if (packet.FrameOfReference > FrameOfReference.Configured) return Error.UnknownFrame;
            WriteStart(data, packet.Minor, HeaderBytes, (byte)packet.MessageType);
            data[9] = (byte)packet.HandCount;
            data[10] = 1;
            data[11] = (byte)packet.Precision;
            data[12] = 0;
            data[13] = packet.Compatible;
            data[14] = (byte)packet.State;
            data[15] = (byte)packet.FrameOfReference;
            data[16] = 1;
            data[17] = (byte)packet.TimestampSource;
            WriteU16(data, 18, HandBytes);
            WriteU32(data, 20, packet.StreamId);
            WriteU32(data, 24, packet.Sequence);
            WriteU32(data, 28, packet.FrameNumber);
            WriteU64(data, 32, (ulong)packet.CaptureNs);
            WriteU64(data, 40, (ulong)packet.PublishNs);
            Array.Copy(packet.BundleId, 0, data, 48, 8);
            data[56] = packet.Part;
            data[57] = packet.PartCount;
            WriteU16(data, 58, packet.ControlPort);
            int at = HeaderBytes;
            for (int i = 0; i < packet.HandCount; i++, at += HandBytes)
            {
                error = EncodeHand(packet.Hands[i], data, at);
                if (error != Error.Ok) return error;
            }
            for (int i = 0; i < packet.HandCount; i++)
            {
                if (!packet.Hands[i].HasSkeleton) continue;
                error = EncodeSkeleton(packet.Hands[i].Skeleton, i, data, at);
                if (error != Error.Ok) return error;
                at += BlockBytes + SkeletonBytes;
            }
            size = Seal(data, at, keys);
            return Error.Ok;
        }

        /// <summary>Whether a datagram can only be a control message, whatever else is wrong with it.</summary>
        public static bool IsControl(byte[] data, int size)
        {
            return size > 8 && data[8] >= (byte)ControlType.Ping;
        }

        /// <summary>Reads a control message, as Decode reads packets.</summary>
        public static Error DecodeControl(byte[] data, int size, KeyRing keys, ControlMessage control)
        {
            int bodyBytes;
            Error error = Unseal(data, size, keys, out bodyBytes);
            if (error != Error.Ok) return error;
            if (bodyBytes < ControlBytes) return Error.TooShort;
            int headerBytes = ReadU16(data, 6);
            if (headerBytes < ControlBytes || headerBytes > bodyBytes) return Error.BadLengths;
            if (data[8] < (byte)ControlType.Ping || data[8] > (byte)ControlType.SnapshotTaken) return Error.UnknownType;
            if (data[9] > (byte)ControlStatus.NotAllowed) return Error.UnknownStatus;
            control.MessageType = (ControlType)data[8];
            control.Status = (ControlStatus)data[9];
            control.LeaseS = ReadU16(data, 10);
            control.StreamId = ReadU32(data, 16);
            control.Nonce = ReadU64(data, 24);
            Array.Copy(data, 32, control.Token, 0, 16);
            control.ClientNs = (long)ReadU64(data, 48);
            control.ReceivedNs = (long)ReadU64(data, 56);
            control.SentNs = (long)ReadU64(data, 64);
            control.InfoBytes = bodyBytes - headerBytes;
            Array.Copy(data, headerBytes, control.Info, 0, control.InfoBytes);
            return Error.Ok;
        }

        /// <summary>Writes a control message, as Encode writes packets.</summary>
        public static Error EncodeControl(ControlMessage control, KeyRing keys, byte[] data, out int size)
        {
            size = 0;
            if (control.MessageType < ControlType.Ping || control.MessageType > ControlType.SnapshotTaken) return Error.UnknownType;
            if (control.Status > ControlStatus.NotAllowed) return Error.UnknownStatus;
            if (control.InfoBytes < 0 || control.InfoBytes > MaxInfoBytes) return Error.DoesNotFit;
            Error error = CanSeal(ControlBytes + control.InfoBytes, keys, data.Length);
            if (error != Error.Ok) return error;
            Array.Clear(data, 0, ControlBytes);
            WriteStart(data, Minor, ControlBytes, (byte)control.MessageType);
            data[9] = (byte)control.Status;
            WriteU16(data, 10, control.LeaseS);
            WriteU32(data, 16, control.StreamId);
            WriteU64(data, 24, control.Nonce);
            Array.Copy(control.Token, 0, data, 32, 16);
            WriteU64(data, 48, (ulong)control.ClientNs);
            WriteU64(data, 56, (ulong)control.ReceivedNs);
            WriteU64(data, 64, (ulong)control.SentNs);
            Array.Copy(control.Info, 0, data, ControlBytes, control.InfoBytes);
            size = Seal(data, ControlBytes + control.InfoBytes, keys);
            return Error.Ok;
        }

        /// <summary>The CRC-32 of IEEE 802.3 of the first `size` bytes.</summary>
        public static uint Crc32(byte[] data, int size)
        {
            uint[] table = CrcTable;
            uint crc = 0xFFFFFFFF;
            int at = 0;
            for (; at + 4 <= size; at += 4)
            {
                crc ^= ReadU32(data, at);
                crc = table[768 + (crc & 255)] ^ table[512 + (crc >> 8 & 255)] ^ table[256 + (crc >> 16 & 255)] ^ table[crc >> 24];
            }
            for (; at < size; at++) crc = crc >> 8 ^ table[(crc ^ data[at]) & 255];
            return ~crc;
        }

        private static uint[] MakeCrcTable()
        {
            var table = new uint[4 * 256];
            for (uint i = 0; i < 256; i++)
            {
                uint crc = i;
                for (int bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
                table[i] = crc;
            }
            for (int i = 256; i < table.Length; i++) table[i] = table[i - 256] >> 8 ^ table[table[i - 256] & 255];
            return table;
        }

        private static Error Unseal(byte[] data, int size, KeyRing keys, out int bodyBytes)
        {
            bodyBytes = 0;
            if (size > data.Length) return Error.TooShort;
            if (size < MinBytes) return Error.TooShort;
            if (size > MaxBytes) return Error.TooLong;
            if (data[0] != 'H' || data[1] != 'M' || data[2] != 'A' || data[3] != 'P') return Error.BadMagic;
            if (data[4] != Major) return Error.OtherVersion;
            size -= CrcBytes;
            if (ReadU32(data, size) != Crc32(data, size)) return Error.BadChecksum;
            if (data[12] > 1) return Error.UnknownFlags;
            if (data[12] == 0)
            {
                bodyBytes = size;
                return keys != null ? Error.NotAuthenticated : Error.Ok;
            }
            if (size < HeaderBytes + TrailerBytes) return Error.TooShort;
            bodyBytes = size - TrailerBytes;
            return keys != null ? keys.Check(data, bodyBytes) : Error.Ok;
        }

        private static Error CanSeal(int bodyBytes, KeyRing keys, int room)
        {
            if (bodyBytes > MaxBytes - TrailerBytes - CrcBytes) return Error.DoesNotFit;
            return bodyBytes + CrcBytes + (keys != null ? TrailerBytes : 0) > room ? Error.NoRoom : Error.Ok;
        }

        private static int Seal(byte[] data, int size, KeyRing keys)
        {
            if (keys != null)
            {
                data[12] = 1;
                keys.WriteTrailer(data, size);
                size += TrailerBytes;
            }
            WriteU32(data, size, Crc32(data, size));
            return size + CrcBytes;
        }

        private static Error DecodeBody(byte[] data, int end, Packet packet)
        {
            int headerBytes = ReadU16(data, 6), handBytes = ReadU16(data, 18), count = data[9];
            if (headerBytes < HeaderBytes || handBytes < HandBytes) return Error.BadLengths;
            if (headerBytes + count * handBytes > end) return Error.HandsDoNotFit; // so there are 3 at most
            if (data[56] >= data[57] || data[57] > MaxParts) return Error.BadPart;
            if (data[8] != (byte)MessageType.Joints && data[8] != (byte)MessageType.Heartbeat) return Error.UnknownType;
            if (data[10] != 1) return Error.UnknownJointOrder;
            if (data[15] > (byte)FrameOfReference.Configured) return Error.UnknownFrame;
            if (data[16] != 1) return Error.UnknownClock;
            packet.Minor = data[5];
            packet.MessageType = (MessageType)data[8];
            packet.Precision = data[11] <= (byte)Precision.Int8 ? (Precision)data[11] : Precision.Unknown;
            packet.Compatible = data[13];
            packet.State = data[14] <= (byte)State.Stopping ? (State)data[14] : State.Unknown;
            packet.FrameOfReference = (FrameOfReference)data[15];
            packet.TimestampSource =
                data[17] <= (byte)TimestampSource.Recording ? (TimestampSource)data[17] : TimestampSource.Unknown;
            packet.StreamId = ReadU32(data, 20);
            packet.Sequence = ReadU32(data, 24);
            packet.FrameNumber = ReadU32(data, 28);
            packet.CaptureNs = (long)ReadU64(data, 32);
            packet.PublishNs = (long)ReadU64(data, 40);
            Array.Copy(data, 48, packet.BundleId, 0, 8);
            packet.Part = data[56];
            packet.PartCount = data[57];
            packet.ControlPort = ReadU16(data, 58);
            packet.HandCount = count;
            for (int i = 0; i < count; i++)
            {
                Error error = DecodeHand(data, headerBytes + i * handBytes, packet.Hands[i]);
                if (error != Error.Ok) return error;
            }
            return DecodeBlocks(data, headerBytes + count * handBytes, end, packet);
        }

        private static Error DecodeHand(byte[] data, int at, Hand hand)
        {
            bool isFinite = ReadFloat(data, at + 8, out hand.HandednessConfidence) & ReadFloat(data, at + 12, out hand.Confidence);
            hand.HasSkeleton = false;
            hand.TrackId = ReadU32(data, at);
            hand.Handedness = (Handedness)data[at + 4];
            hand.Flags = (HandFlags)data[at + 5] & (HandFlags.Valid | HandFlags.Tracked | HandFlags.Extrapolated);
            for (int joint = 0; joint < Joints; joint++)
            {
                int from = at + 16 + 16 * joint;
                isFinite &= ReadFloat(data, from, out hand.XyzM[3 * joint]);
                isFinite &= ReadFloat(data, from + 4, out hand.XyzM[3 * joint + 1]);
                isFinite &= ReadFloat(data, from + 8, out hand.XyzM[3 * joint + 2]);
                isFinite &= ReadFloat(data, from + 12, out hand.ExpectedErrorM[joint]);
            }
            if (!isFinite) return Error.NotFinite;
            return hand.Handedness <= Handedness.Right ? Error.Ok : Error.UnknownHandedness;
        }

        private static Error DecodeBlocks(byte[] data, int at, int end, Packet packet)
        {
            while (at < end)
            {
                if (end - at < BlockBytes) return Error.BadBlock;
                int content = ReadU16(data, at + 2);
                if (content > end - at - BlockBytes) return Error.BadBlock;
                if (data[at] == 1)
                {
                    if (content < SkeletonBytes) return Error.ShortSkeleton;
                    if (data[at + 1] >= packet.HandCount || packet.Hands[data[at + 1]].HasSkeleton) return Error.StraySkeleton;
                    Hand hand = packet.Hands[data[at + 1]];
                    Error error = DecodeSkeleton(data, at + BlockBytes, hand.Skeleton);
                    if (error != Error.Ok) return error;
                    hand.HasSkeleton = true;
                }
                at += BlockBytes + content;
            }
            return Error.Ok;
        }

        private static Error DecodeSkeleton(byte[] data, int at, Skeleton skeleton)
        {
            const long one = 32767L * 32767L;
            for (int i = 0; i < 16; i++)
            {
                long squared = 0;
                for (int k = 4 * i; k < 4 * i + 4; k++)
                {
                    int part = (short)ReadU16(data, at + 2 * k);
                    skeleton.Quaternions[k] = (float)part / 32767f;
                    squared += (long)part * part;
                }
                if (Math.Abs(squared - one) * 100 >= one) return Error.BadOrientation;
            }
            for (int i = 0; i < 22; i++) skeleton.AnglesRad[i] = (float)(short)ReadU16(data, at + 128 + 2 * i) / 10000f;
            for (int i = 0; i < 4; i++)
            {
                skeleton.PinchStrength[i] = (float)data[at + 172 + i] / 255f;
                skeleton.IsPinching[i] = (data[at + 176] >> i & 1) != 0;
            }
            skeleton.GraspClosure = (float)data[at + 177] / 255f;
            skeleton.IsSizeHeld = (data[at + 178] & 1) != 0;
            bool isFinite = ReadFloat(data, at + 180, out skeleton.HandLengthM);
            isFinite &= ReadFloat(data, at + 184, out skeleton.HandLengthErrorM);
            return isFinite ? Error.Ok : Error.NotFinite;
        }

        private static Error EncodeHand(Hand hand, byte[] data, int at)
        {
            WriteU32(data, at, hand.TrackId);
            data[at + 4] = (byte)hand.Handedness;
            data[at + 5] = (byte)hand.Flags;
            WriteU16(data, at + 6, 0);
            bool isFinite = WriteFloat(data, at + 8, hand.HandednessConfidence);
            isFinite &= WriteFloat(data, at + 12, hand.Confidence);
            for (int joint = 0; joint < Joints; joint++)
            {
                int to = at + 16 + 16 * joint;
                for (int k = 0; k < 3; k++) isFinite &= WriteFloat(data, to + 4 * k, hand.XyzM[3 * joint + k]);
                isFinite &= WriteFloat(data, to + 12, hand.ExpectedErrorM[joint]);
            }
            if (!isFinite) return Error.NotFinite;
            return hand.Handedness <= Handedness.Right ? Error.Ok : Error.UnknownHandedness;
        }

        private static Error EncodeSkeleton(Skeleton skeleton, int handIndex, byte[] data, int at)
        {
            data[at] = 1;
            data[at + 1] = (byte)handIndex;
            WriteU16(data, at + 2, SkeletonBytes);
            at += BlockBytes;
            int rounded;
            for (int i = 0; i < 64; i++)
            {
                if (!Round(skeleton.Quaternions[i] * 32767f, -32767, 32767, out rounded)) return Error.OutOfRange;
                WriteU16(data, at + 2 * i, rounded);
            }
            for (int i = 0; i < 22; i++)
            {
                if (!Round(skeleton.AnglesRad[i] * 10000f, -32767, 32767, out rounded)) return Error.OutOfRange;
                WriteU16(data, at + 128 + 2 * i, rounded);
            }
            data[at + 176] = 0;
            for (int i = 0; i < 4; i++)
            {
                if (!Round(skeleton.PinchStrength[i] * 255f, 0, 255, out rounded)) return Error.OutOfRange;
                data[at + 172 + i] = (byte)rounded;
                if (skeleton.IsPinching[i]) data[at + 176] |= (byte)(1 << i);
            }
            if (!Round(skeleton.GraspClosure * 255f, 0, 255, out rounded)) return Error.OutOfRange;
            data[at + 177] = (byte)rounded;
            data[at + 178] = (byte)(skeleton.IsSizeHeld ? 1 : 0);
            data[at + 179] = 0;
            bool isFinite = WriteFloat(data, at + 180, skeleton.HandLengthM);
            isFinite &= WriteFloat(data, at + 184, skeleton.HandLengthErrorM);
            return isFinite ? Error.Ok : Error.NotFinite;
        }

        /// <summary>The nearest integer, the even one of two; false if it is out of range.</summary>
        private static bool Round(float value, int min, int max, out int rounded)
        {
            rounded = 0;
            if (!(value > -40000f && value < 40000f)) return false;
            rounded = (int)Math.Round((double)value, MidpointRounding.ToEven);
            return rounded >= min && rounded <= max;
        }

        private static void WriteStart(byte[] data, byte minor, int headerBytes, byte messageType)
        {
            data[0] = (byte)'H';
            data[1] = (byte)'M';
            data[2] = (byte)'A';
            data[3] = (byte)'P';
            data[4] = Major;
            data[5] = minor;
            WriteU16(data, 6, headerBytes);
            data[8] = messageType;
        }

        internal static ushort ReadU16(byte[] data, int at)
        {
            return (ushort)(data[at] | data[at + 1] << 8);
        }

        internal static uint ReadU32(byte[] data, int at)
        {
            return (uint)(data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24);
        }

        private static ulong ReadU64(byte[] data, int at)
        {
            return ReadU32(data, at) | (ulong)ReadU32(data, at + 4) << 32;
        }

        /// <summary>False if it is not finite.</summary>
        private static bool ReadFloat(byte[] data, int at, out float value)
        {
            FloatBits both;
            both.Value = 0;
            both.Bits = ReadU32(data, at);
            value = both.Value;
            return (both.Bits & 0x7F800000) != 0x7F800000;
        }

        private static void WriteU16(byte[] data, int at, int value)
        {
            data[at] = (byte)value;
            data[at + 1] = (byte)(value >> 8);
        }

        internal static void WriteU32(byte[] data, int at, uint value)
        {
            data[at] = (byte)value;
            data[at + 1] = (byte)(value >> 8);
            data[at + 2] = (byte)(value >> 16);
            data[at + 3] = (byte)(value >> 24);
        }

        private static void WriteU64(byte[] data, int at, ulong value)
        {
            WriteU32(data, at, (uint)value);
            WriteU32(data, at + 4, (uint)(value >> 32));
        }

        /// <summary>False if it is not finite.</summary>
        private static bool WriteFloat(byte[] data, int at, float value)
        {
            FloatBits both;
            both.Bits = 0;
            both.Value = value;
            WriteU32(data, at, both.Bits);
            return (both.Bits & 0x7F800000) != 0x7F800000;
        }
    }

    /// <summary>The keys of one side: the first one seals, all are accepted.</summary>
    public sealed class KeyRing
    {
        public const int KeyBytes = 32;

        private static readonly byte[] ForId = { (byte)'H', (byte)'M', (byte)'A', (byte)'P', (byte)'-', (byte)'k', (byte)'i', (byte)'d' };
        private static readonly byte[] ForTag = { (byte)'H', (byte)'M', (byte)'A', (byte)'P', (byte)'-', (byte)'t', (byte)'a', (byte)'g' };

        private readonly byte[][] secrets, ids;
        private readonly Blake2s hash = new Blake2s();
        private readonly byte[] tag = new byte[16];

        /// <summary>Each as 64 hexadecimal digits, a line of the daemon's key file. Throws ArgumentException for anything else.</summary>
        public KeyRing(params string[] keys)
        {
            if (keys.Length == 0) throw new ArgumentException("wanted at least one key");
            secrets = new byte[keys.Length][];
            ids = new byte[keys.Length][];
            for (int i = 0; i < keys.Length; i++)
            {
                secrets[i] = FromHex(keys[i]);
                ids[i] = new byte[4];
                hash.Compute(secrets[i], ForId, ids[i], 0, ids[i], 0, 4);
            }
        }

        internal Error Check(byte[] data, int bodyBytes)
        {
            int found = -1;
            for (int i = 0; i < ids.Length && found < 0; i++)
                if (Wire.ReadU32(ids[i], 0) == Wire.ReadU32(data, bodyBytes)) found = i;
            if (found < 0) return Error.UnknownKey;
            hash.Compute(secrets[found], ForTag, data, bodyBytes + 4, tag, 0, 16);
            int difference = 0; // takes the same time wherever the tags differ
            for (int i = 0; i < 16; i++) difference |= tag[i] ^ data[bodyBytes + 4 + i];
            return difference == 0 ? Error.Ok : Error.BadTag;
        }

        internal void WriteTrailer(byte[] data, int bodyBytes)
        {
            Array.Copy(ids[0], 0, data, bodyBytes, 4);
            hash.Compute(secrets[0], ForTag, data, bodyBytes + 4, data, bodyBytes + 4, 16);
        }

        private static byte[] FromHex(string text)
        {
            text = text.Trim();
            if (text.Length != 2 * KeyBytes) throw new ArgumentException("a key has 64 hexadecimal digits");
            var secret = new byte[KeyBytes];
            for (int i = 0; i < text.Length; i++)
            {
                int digit = "0123456789abcdef".IndexOf(char.ToLowerInvariant(text[i]));
                if (digit < 0) throw new ArgumentException("a key has 64 hexadecimal digits");
                secret[i / 2] = (byte)(secret[i / 2] << 4 | digit);
            }
            return secret;
        }
    }

    /// <summary>BLAKE2s (RFC 7693), keyed and personalized.</summary>
    internal sealed class Blake2s
    {
        private static readonly uint[] Start =
        {
            0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19
        };

        /// <summary>The order in which the words of a block are mixed in, 16 for each of 10 rounds.</summary>
        private static readonly byte[] Order =
        {
            0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3,
            11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4, 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8,
            9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13, 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9,
            12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11, 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10,
            6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5, 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0
        };

        private readonly uint[] h = new uint[8], m = new uint[16], v = new uint[16];
        private readonly byte[] block = new byte[64];

        /// <summary>Hashes the first `size` bytes with a key of 32; the digest goes to `digest` from `at` on.</summary>
        public void Compute(byte[] secret, byte[] personalization, byte[] data, int size, byte[] digest, int at, int digestBytes)
        {
            Array.Copy(Start, h, 8);
            h[0] ^= 0x01010000u ^ (uint)KeyRing.KeyBytes << 8 ^ (uint)digestBytes;
            h[6] ^= Wire.ReadU32(personalization, 0);
            h[7] ^= Wire.ReadU32(personalization, 4);
            Array.Clear(block, 0, 64);
            Array.Copy(secret, block, KeyRing.KeyBytes); // the key, padded, is the first block
            Mix(block, 0, 64, size == 0);
            int from = 0;
            for (; size - from > 64; from += 64) Mix(data, from, 128 + from, false);
            if (size > 0)
            {
                Array.Clear(block, 0, 64);
                Array.Copy(data, from, block, 0, size - from);
                Mix(block, 0, 64 + size, true);
            }
            for (int i = 0; i < digestBytes; i++) digest[at + i] = (byte)(h[i / 4] >> 8 * (i % 4));
        }

        private void Mix(byte[] data, int at, int counted, bool isLast)
        {
            for (int i = 0; i < 16; i++) m[i] = Wire.ReadU32(data, at + 4 * i);
            Array.Copy(h, v, 8);
            Array.Copy(Start, 0, v, 8, 8);
            v[12] ^= (uint)counted;
            if (isLast) v[14] = ~v[14];
            for (int i = 0; i < 160; i += 16)
            {
                Mix(0, 4, 8, 12, m[Order[i]], m[Order[i + 1]]);
                Mix(1, 5, 9, 13, m[Order[i + 2]], m[Order[i + 3]]);
                Mix(2, 6, 10, 14, m[Order[i + 4]], m[Order[i + 5]]);
                Mix(3, 7, 11, 15, m[Order[i + 6]], m[Order[i + 7]]);
                Mix(0, 5, 10, 15, m[Order[i + 8]], m[Order[i + 9]]);
                Mix(1, 6, 11, 12, m[Order[i + 10]], m[Order[i + 11]]);
                Mix(2, 7, 8, 13, m[Order[i + 12]], m[Order[i + 13]]);
                Mix(3, 4, 9, 14, m[Order[i + 14]], m[Order[i + 15]]);
            }
            for (int i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
        }

        private void Mix(int a, int b, int c, int d, uint x, uint y)
        {
            unchecked
            {
                uint va = v[a], vb = v[b], vc = v[c], vd = v[d];
                va += vb + x;
                vd ^= va;
                vd = vd >> 16 | vd << 16;
                vc += vd;
                vb ^= vc;
                vb = vb >> 12 | vb << 20;
                va += vb + y;
                vd ^= va;
                vd = vd >> 8 | vd << 24;
                vc += vd;
                vb ^= vc;
                vb = vb >> 7 | vb << 25;
                v[a] = va;
                v[b] = vb;
                v[c] = vc;
                v[d] = vd;
            }
        }
    }

    /// <summary>The order of packets: what to use, what to ignore, what was lost, when the daemon was started again.</summary>
    public sealed class Streams
    {
        public const int MaxStreams = 4; // remembered at a time; anybody can make up stream ids
        public const int MaxLostPerS = 1000, ResyncPackets = 10;
        public const long ResyncNs = 1000000000;
        private const uint Window = 1024; // packets behind the newest of which it is known whether they came

        private sealed class Stream
        {
            public uint StreamId, Sequence, Ignored, IgnoredSequence;
            public long ReceivedNs;
            public readonly uint[] Seen = new uint[Window / 32];

            public void Begin(uint streamId, uint sequence, long nowNs)
            {
                StreamId = streamId;
                Sequence = sequence;
                ReceivedNs = nowNs;
                Ignored = 0;
                IgnoredSequence = 0;
                for (int i = 0; i < Seen.Length; i++) Seen[i] = uint.MaxValue; // before the first packet nothing is missed
            }

            public void Advance(uint sequence, long nowNs)
            {
                unchecked
                {
                    if (sequence - Sequence >= Window) Array.Clear(Seen, 0, Seen.Length);
                    else
                        for (uint missing = Sequence + 1; missing != sequence; missing++)
                            Seen[missing % Window / 32] &= ~(1u << (int)(missing % 32));
                    Seen[sequence % Window / 32] |= 1u << (int)(sequence % 32);
                }
                Sequence = sequence;
                ReceivedNs = nowNs;
                Ignored = 0;
            }
        }

        private readonly Stream[] streams = { new Stream(), new Stream(), new Stream(), new Stream() };
        private readonly bool hasKey;
        private int count;
        private bool isProven;
        private uint provenId;

        /// <summary>Totals. Lost leaves out what came late after all; Late was overtaken on the way, and skipped; Unproven are
        /// packets of a stream that no PONG has named.</summary>
        public long Received, Lost, Late, Repeated, Restarts, Unproven;

        /// <summary>Of the last accepted packet: packets missing immediately before it, and whether it is the first of a new
        /// stream after another one.</summary>
        public long LostBefore;
        public bool IsRestart;

        public Streams(bool hasKey)
        {
            this.hasKey = hasKey;
        }

        /// <summary>With a key: the sender of this stream is there. Call it with the stream id of an authentic PONG that repeats
        /// the nonce of a PING of the last two seconds. From then on only this stream is accepted.</summary>
        public void Prove(uint streamId)
        {
            isProven = true;
            provenId = streamId;
        }

        /// <summary>Takes in a packet that came at this time of a monotonic clock; use it only if this is true.</summary>
        public bool Take(Packet packet, long nowNs)
        {
            if (hasKey && !(isProven && packet.StreamId == provenId))
            {
                Unproven++;
                return false;
            }
            int place = 0;
            while (place < count && streams[place].StreamId != packet.StreamId) place++;
            bool isKnown = place < count, isRepeated;
            long lost = 0;
            if (isKnown)
            {
                bool isAccepted = Judge(streams[place], packet.Sequence, nowNs, out lost, out isRepeated);
                Lost += lost;
                if (!isAccepted)
                {
                    if (isRepeated) Repeated++;
                    else Late++;
                    return false;
                }
            }
            else if (count == MaxStreams) place = 0; // the one not heard for longest is forgotten
            else count++;
            Stream taken = streams[place];
            IsRestart = !isKnown && Received > 0;
            if (!isKnown) taken.Begin(packet.StreamId, packet.Sequence, nowNs);
            for (; place < count - 1; place++) streams[place] = streams[place + 1];
            streams[count - 1] = taken;
            LostBefore = lost;
            Received++;
            if (IsRestart) Restarts++;
            return true;
        }

        private bool Judge(Stream stream, uint sequence, long nowNs, out long lost, out bool isRepeated)
        {
            unchecked
            {
                uint step = sequence - stream.Sequence, fromIgnored = sequence - stream.IgnoredSequence;
                long waitedNs = nowNs - stream.ReceivedNs;
                lost = 0;
                isRepeated = step == 0;
                if (step == 0) return false;
                if (hasKey ? step < 0x80000000 : step <= LongestJump(waitedNs))
                {
                    lost = step - 1;
                    stream.Advance(sequence, nowNs);
                    return true;
                }
                if (!hasKey) // with one, nothing brings back what is behind: it may be a recording
                {
                    bool isNext = stream.Ignored > 0 && fromIgnored > 0 && fromIgnored <= MaxLostPerS;
                    stream.Ignored = isNext ? stream.Ignored + 1 : 1;
                    stream.IgnoredSequence = sequence;
                    if (waitedNs > ResyncNs || stream.Ignored >= ResyncPackets)
                    {
                        stream.Begin(stream.StreamId, sequence, nowNs);
                        return true;
                    }
                }
                if (stream.Sequence - sequence >= Window) return false;
                uint bit = 1u << (int)(sequence % 32), place = sequence % Window / 32;
                isRepeated = (stream.Seen[place] & bit) != 0;
                lost = isRepeated ? 0 : -1;
                stream.Seen[place] |= bit;
                return false;
            }
        }

        private static long LongestJump(long waitedNs)
        {
            const long nsEach = 1000000000 / MaxLostPerS;
            return MaxLostPerS + (waitedNs >= 0 ? waitedNs / nsEach : -(-(waitedNs + 1) / nsEach) - 1);
        }
    }

    /// <summary>The hands of a frame that was sent in several datagrams, collected.</summary>
    public sealed class Frame
    {
        public readonly Hand[] Hands = new Hand[Wire.MaxHands * Wire.MaxParts];
        public int HandCount;
        /// <summary>Frames with a part missing.</summary>
        public long Incomplete;
        private uint streamId, frameNumber;
        private int nextPart, partCount;

        public Frame()
        {
            for (int i = 0; i < Hands.Length; i++) Hands[i] = new Hand();
        }

        /// <summary>Takes in an accepted packet; true once the frame that it belongs to is whole. A heartbeat is one without hands.</summary>
        public bool Join(Packet packet)
        {
            bool isNext = packet.Part > 0 && packet.Part == nextPart && packet.PartCount == partCount &&
                          packet.StreamId == streamId && packet.FrameNumber == frameNumber;
            if (!isNext)
            {
                if (nextPart > 0) Incomplete++;
                nextPart = 0;
                if (packet.Part > 0) return false;
                HandCount = 0;
                streamId = packet.StreamId;
                frameNumber = packet.FrameNumber;
                partCount = packet.PartCount;
            }
            for (int i = 0; i < packet.HandCount; i++) Hands[HandCount++].CopyFrom(packet.Hands[i]);
            nextPart = packet.Part + 1 < packet.PartCount ? packet.Part + 1 : 0;
            return nextPart == 0;
        }
    }

    /// <summary>Live is followed, Held stays where it was, Relaxing is let go of.</summary>
    public enum Phase { Live, Held, Relaxing }

    /// <summary>One hand as a program should see it: live while it is heard of, held when it is lost, then let go; never a pose that
    /// nobody sent. Times are of a monotonic clock.</summary>
    public sealed class HandState
    {
        private readonly Handedness handedness;
        private readonly double staleS, holdS, relaxS, engageS;
        private readonly float[] fromM = new float[Wire.Joints * 3];
        private bool isThere, isLost, hasFrom;
        private uint streamId, epoch;
        private long heardNs, lostNs, nowNs;
        private double approach = 1;

        /// <summary>The hand as last heard of.</summary>
        public readonly Hand Hand = new Hand();
        /// <summary>21 x (x, y, z), the joints to go to: those of the hand, or on the way to them from where the last one was held.</summary>
        public readonly float[] XyzM = new float[Wire.Joints * 3];
        public Phase Phase { get; private set; }
        /// <summary>How far to follow the joints, 0 to 1: rest + engagement * (xyz - rest).</summary>
        public double Engagement { get; private set; }
        /// <summary>Since the hand was heard of.</summary>
        public double AgeS { get; private set; }
        /// <summary>Changes when this is another hand, or one taken up again: start filters over then.</summary>
        public uint Epoch { get; private set; }

        /// <summary>The state of a person's hand, or with Unknown of whichever is seen first. staleS seconds without news it is lost,
        /// holdS longer it is held, then it is let go within relaxS; engageS to take it up. Throws ArgumentException for a time
        /// that is negative or not finite.</summary>
        public HandState(Handedness handedness, double staleS = 0.1, double holdS = 0.25, double relaxS = 1, double engageS = 0.3)
        {
            if (!(IsTime(staleS) && IsTime(holdS) && IsTime(relaxS) && IsTime(engageS)))
                throw new ArgumentException("times of a hand are seconds, 0 or more");
            this.handedness = handedness;
            this.staleS = staleS;
            this.holdS = holdS;
            this.relaxS = relaxS;
            this.engageS = engageS;
        }

        /// <summary>Moves to this time; false once the hand has been let go, or before any was seen: then nothing here is to be
        /// used. A time before the last one counts as that.</summary>
        public bool At(long now)
        {
            long beforeNs = nowNs;
            nowNs = Math.Max(now, beforeNs);
            if (!isThere) return false;
            long goneNs = Plus(heardNs, NsOf(staleS));
            if (isLost) goneNs = Math.Min(goneNs, lostNs);
            long letGoNs = Plus(goneNs, NsOf(holdS));
            double engaged = Share((Math.Min(nowNs, goneNs) - beforeNs) / 1e9, engageS);
            approach = Math.Min(approach + engaged, 1);
            Engagement = Math.Min(Engagement + engaged, 1);
            Engagement = Math.Max(Engagement - Share((nowNs - Math.Max(letGoNs, beforeNs)) / 1e9, relaxS), 0);
            Phase = nowNs < goneNs ? Phase.Live : nowNs < letGoNs ? Phase.Held : Phase.Relaxing;
            AgeS = (nowNs - heardNs) / 1e9;
            if (Phase == Phase.Live) Approach();
            isThere = !(Phase == Phase.Relaxing && Engagement <= 0);
            return isThere;
        }

        /// <summary>Takes in an accepted packet with a PartCount of 1; for others use Frame. One without this hand says that it is
        /// lost; a heartbeat says so only in a state in which the daemon sees no hands.</summary>
        public void See(Packet packet, long receivedNs)
        {
            See(packet, packet.Hands, packet.HandCount, receivedNs);
        }

        /// <summary>The same with the hands of a whole frame, of which the packet is the last.</summary>
        public void See(Packet packet, Hand[] hands, int handCount, long receivedNs)
        {
            bool isSeeing = packet.State == State.Tracking || packet.State == State.Degraded;
            bool isHeartbeat = packet.MessageType == MessageType.Heartbeat;
            At(receivedNs);
            if (isHeartbeat && isSeeing) return;
            Hand hand = isHeartbeat || !isSeeing ? null : Chosen(hands, handCount);
            if (hand == null)
            {
                if (!isLost) lostNs = receivedNs;
                isLost = true;
                At(receivedNs);
                return;
            }
            bool isSame = isThere && Phase != Phase.Relaxing && Hand.TrackId == hand.TrackId && streamId == packet.StreamId;
            if (!isSame)
            {
                epoch++;
                hasFrom = isThere;
                approach = isThere ? 0 : 1;
                if (isThere) Array.Copy(XyzM, fromM, fromM.Length);
            }
            if (!isThere) Engagement = 0;
            Hand.CopyFrom(hand);
            Approach();
            Phase = Phase.Live;
            AgeS = 0;
            Epoch = epoch;
            isThere = true;
            isLost = false;
            streamId = packet.StreamId;
            heardNs = receivedNs;
        }

        private void Approach()
        {
            float share = (float)approach;
            bool isOnTheWay = hasFrom && approach < 1;
            for (int i = 0; i < XyzM.Length; i++)
                XyzM[i] = isOnTheWay ? fromM[i] + share * (Hand.XyzM[i] - fromM[i]) : Hand.XyzM[i];
        }

        private Hand Chosen(Hand[] hands, int handCount)
        {
            Hand best = null;
            bool isBestFollowed = false;
            for (int i = 0; i < handCount; i++)
            {
                Hand hand = hands[i];
                bool isFollowed = isThere && hand.TrackId == Hand.TrackId;
                if ((hand.Flags & HandFlags.Valid) == 0) continue;
                if (handedness != Handedness.Unknown && handedness != hand.Handedness) continue;
                bool isSurer = best == null || (isFollowed == isBestFollowed && hand.Confidence > best.Confidence);
                if (!isSurer && !(isFollowed && !isBestFollowed)) continue;
                best = hand;
                isBestFollowed = isFollowed;
            }
            return best;
        }

        private static bool IsTime(double seconds)
        {
            return seconds >= 0 && seconds <= double.MaxValue;
        }

        private static double Share(double elapsedS, double wholeS)
        {
            return elapsedS <= 0 ? 0 : wholeS > 0 ? elapsedS / wholeS : 1;
        }

        private static long NsOf(double seconds)
        {
            return seconds >= 3e9 ? 3000000000000000000 : (long)Math.Round(seconds * 1e9, MidpointRounding.ToEven);
        }

        private static long Plus(long a, long b)
        {
            return a > long.MaxValue - b ? long.MaxValue : a + b;
        }
    }

    /// <summary>How far the daemon's clock is ahead, as bounds from exchanges of PING and PONG.</summary>
    public sealed class ClockOffset
    {
        private const int MinExchanges = 4; // a first one alone can be off by half a round trip
        private const long DriftParts = 10000; // clocks drift apart by at most a ten-thousandth of a time
        private long leastNs, mostNs, arrivedNs;
        private int exchanges;

        /// <summary>Takes in a PONG that came at this time of the clock of its ClientNs. One that contradicts those before it
        /// replaces them.</summary>
        public void See(ControlMessage pong, long nowNs)
        {
            long newLeast = pong.SentNs - nowNs;
            long newMost = pong.ReceivedNs - pong.ClientNs + Math.Max(nowNs - pong.ClientNs, 0) / DriftParts;
            long least = Math.Max(leastNs - Loosened(nowNs), newLeast), most = Math.Min(mostNs + Loosened(nowNs), newMost);
            bool isAgreed = exchanges > 0 && least <= most;
            exchanges = isAgreed ? Math.Min(exchanges + 1, MinExchanges) : 1;
            leastNs = isAgreed ? least : newLeast;
            mostNs = isAgreed ? most : newMost;
            arrivedNs = nowNs;
        }

        /// <summary>The daemon's clock minus this machine's, and how far off that is at most; false while too little is known.</summary>
        public bool Ahead(long nowNs, out long aheadNs, out long errorNs)
        {
            errorNs = (mostNs / 2 - leastNs / 2) + Loosened(nowNs);
            aheadNs = mostNs + Loosened(nowNs) - errorNs;
            return exchanges >= MinExchanges;
        }

        /// <summary>How much looser the bounds are at this time than when the last PONG came.</summary>
        private long Loosened(long nowNs)
        {
            return Math.Max(nowNs - arrivedNs, 0) / DriftParts;
        }
    }
}
